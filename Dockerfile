# syntax=docker/dockerfile:1
#
# The images of all services, which are found by their folders: docker build --target service --build-arg SERVICE=order .
# The image of the job that prepares Kafka and Postgres for them: docker build --target init .

ARG BASE=gcr.io/distroless/cc-debian12:nonroot
ARG RUST=rust:1.95-bookworm

FROM ${RUST} AS build
# Thin LTO costs over a minute of CPU per program (five) at every change, and gains little: the programs mostly wait for Kafka
# and Postgres.
ENV CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
WORKDIR /src
COPY . /checkout
# The cache keeps the sources with their compiled output, so only changed crates are compiled again. Cargo compares the times of
# files, which a checkout does not preserve; so only files whose content differs are replaced.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src,sharing=locked <<EOT
    set -eu
    find . -path ./target -prune -o -type f -print | while read -r file; do
        [ -e "/checkout/$file" ] || { rm "$file"; rmdir --parents --ignore-fail-on-non-empty "${file%/*}"; }
    done
    (cd /checkout && find . -type f) | while read -r file; do
        cmp --silent "/checkout/$file" "$file" || install -D --mode=644 "/checkout/$file" "$file"
    done

    # TLS and SASL towards Kafka, with the OpenSSL that the base image has too; an allocator that returns memory to the system.
    services=$(for folder in services/*/; do basename "$folder"; done)
    cargo build --release --locked --workspace --features broker/tls,chassis/jemalloc \
        --bin stack $(printf ' --bin %s' $services)

    for name in $services; do
        install -D "target/release/$name" "/out/$name/$name"
        # The entry point needs the same name in every image.
        ln -s "$name" "/out/$name/service"
        install -D "target/release/$name" "/out/init/opt/notifyme/$name"
    done
    install target/release/stack /out/init/opt/notifyme/stack
    # A new volume gets owner and mode of the folder on which it is mounted.
    install -d -m 700 -o 65532 -g 65532 /out/init/secrets
    install -d -m 750 -o 65532 -g 65532 /out/init/kafka-users
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
