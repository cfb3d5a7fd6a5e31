# syntax=docker/dockerfile:1
#
# The images of all services, found by their folders: docker build --target service --build-arg SERVICE=order .
# And the one of the job that prepares Kafka and Postgres for them: docker build --target init .

ARG BASE=gcr.io/distroless/cc-debian12:nonroot
ARG RUST=rust:1.95-bookworm

FROM ${RUST} AS build
# Thin LTO costs each of the five programs over a minute of CPU at every change, and waiting for Kafka and Postgres is
# what they do.
ENV CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
WORKDIR /src
COPY . /checkout
# What was compiled before is kept beside the sources it was compiled from: the dependencies, and each crate that has not
# changed. Cargo goes by the time of a file, which in a checkout says nothing: so only files that differ are replaced.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src,sharing=locked <<EOT
    set -eu
    find . -path ./target -prune -o -type f -print | while read -r file; do
        [ -e "/checkout/$file" ] || { rm "$file"; rmdir --parents --ignore-fail-on-non-empty "${file%/*}"; }
    done
    (cd /checkout && find . -type f) | while read -r file; do
        cmp --silent "/checkout/$file" "$file" || install -D --mode=644 "/checkout/$file" "$file"
    done

    # TLS and SASL towards Kafka, with the OpenSSL that the base image has too.
    cargo build --release --locked --workspace --features broker/tls

    for folder in services/*/Cargo.toml; do
        name=$(basename "$(dirname "$folder")")
        install -D "target/release/$name" "/out/$name/$name"
        # One name for all, for the entry point.
        ln -s "$name" "/out/$name/service"
        install -D "target/release/$name" "/out/init/opt/notifyme/$name"
    done
    install target/release/stack /out/init/opt/notifyme/stack
    # A new volume takes owner and mode from the folder that it covers.
    install -d -m 700 -o 65532 -g 65532 /out/init/secrets
EOT

FROM ${BASE} AS init
COPY --from=build /out/init /
ENV STACK_PROGRAMS=/opt/notifyme STACK_DATA=/secrets
ENTRYPOINT ["/opt/notifyme/stack"]
CMD ["provision", "--catalogue"]

FROM ${BASE} AS service
ARG SERVICE
COPY --from=build /out/${SERVICE} /usr/local/bin/
ENV LISTEN=0.0.0.0:8080 OPS_LISTEN=0.0.0.0:9080
EXPOSE 8080 9080
ENTRYPOINT ["service"]
