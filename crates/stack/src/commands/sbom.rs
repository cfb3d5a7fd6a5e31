//! `sbom`: lists the dependencies of the programs as `CycloneDX`. The output is reproducible: it has no date and no
//! random serial number.

use crate::screen::print;
use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use stack::Home;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

/// The platforms of the container images; other platforms need a few other crates.
const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// The part of the output of `cargo metadata` that the document needs.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    /// `None` for a package of this workspace.
    source: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let home = Home::find()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(home.root());
    for platform in PLATFORMS {
        cargo.args(["--filter-platform", platform]);
    }
    let output = cargo.stderr(Stdio::inherit()).output().context("starting cargo")?;
    anyhow::ensure!(output.status.success(), "cargo metadata failed");
    let metadata = serde_json::from_slice(&output.stdout).context("reading the output of cargo metadata")?;
    print(format_args!("{:#}", document(&metadata)));
    Ok(())
}

fn document(metadata: &Metadata) -> Value {
    let uses = uses(metadata);
    let built = reached(metadata, &uses);
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let purl = |id: &str| packages.get(id).map(|package| package.purl());
    let listed = metadata.packages.iter().filter(|package| built.contains(package.id.as_str()));
    let (mut components, mut dependencies) = (Vec::new(), Vec::new());
    for package in listed {
        components.push(package.component());
        let below = uses.get(package.id.as_str()).into_iter().flatten().filter_map(|id| purl(id));
        dependencies.push(json!({"ref": package.purl(), "dependsOn": below.collect::<BTreeSet<String>>()}));
    }
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
           "metadata": {"component": {"type": "application", "name": "notifyme", "version": env!("CARGO_PKG_VERSION")}},
           "components": components, "dependencies": dependencies})
}

/// Returns the dependencies of each package, without those of its tests and examples.
fn uses(metadata: &Metadata) -> BTreeMap<&str, Vec<&str>> {
    let is_built_in = |dependency: &&Dependency| {
        dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"))
    };
    let nodes = metadata.resolve.nodes.iter();
    nodes
        .map(|node| {
            let used = node.deps.iter().filter(is_built_in).map(|dependency| dependency.pkg.as_str());
            (node.id.as_str(), used.collect())
        })
        .collect()
}

/// Returns the programs of the workspace and all packages that they depend on, directly or not.
fn reached<'a>(metadata: &'a Metadata, uses: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let is_program = |package: &&Package| {
        metadata.workspace_members.contains(&package.id)
            && package.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "bin"))
    };
    let mut left: Vec<&str> =
        metadata.packages.iter().filter(is_program).map(|package| package.id.as_str()).collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = left.pop() {
        if reached.insert(id) {
            left.extend(uses.get(id).into_iter().flatten());
        }
    }
    reached
}

impl Package {
    /// Returns the package URL (purl).
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }

    fn component(&self) -> Value {
        let kind = if self.source.is_none() { "application" } else { "library" };
        let mut component = json!({"type": kind, "bom-ref": self.purl(), "purl": self.purl(), "name": self.name,
                                   "version": self.version});
        if let Some(description) = &self.description {
            component["description"] = description.trim().into();
        }
        if let Some(license) = &self.license {
            // `/` is the older notation for OR.
            component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
        }
        component
    }
}

#[cfg(test)]
mod tests {
    use super::document;
    use serde_json::json;

    #[test]
    fn dependencies_of_tests_are_left_out() {
        let package = |id: &str, kind: &str| {
            json!({"id": id, "name": id, "version": "1.0.0", "license": "MIT/Apache-2.0", "description": null,
                   "source": (kind == "lib").then_some("registry"), "targets": [{"kind": [kind]}]})
        };
        let node = |id: &str, deps: &[(&str, Option<&str>)]| {
            let deps: Vec<_> =
                deps.iter().map(|(pkg, kind)| json!({"pkg": pkg, "dep_kinds": [{"kind": kind}]})).collect();
            json!({"id": id, "deps": deps})
        };
        let metadata = json!({
            "packages": [package("order", "bin"), package("serde", "lib"), package("cc", "lib"), package("proptest", "lib")],
            "workspace_members": ["order"],
            "resolve": {"nodes": [
                node("order", &[("serde", None), ("proptest", Some("dev"))]),
                node("serde", &[("cc", Some("build"))]), node("cc", &[]), node("proptest", &[])]}});
        let document = document(&serde_json::from_value(metadata).unwrap());
        let names: Vec<_> =
            document["components"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["order", "serde", "cc"]);
        assert_eq!(document["dependencies"][0]["dependsOn"], json!(["pkg:cargo/serde@1.0.0"]));
        assert_eq!(document["components"][1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }
}
