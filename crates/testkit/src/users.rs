//! One Kafka user per service, with the rights that the service prints.

use crate::system::System;
use stack::acls;
pub use stack::acls::Acl;
use stack::{Guard, Home, Result};

const MIGRATOR: &str = Guard::MIGRATOR;

/// The setting that names the user at an identity provider.
pub const CLIENT_ID: &str = "KAFKA_CLIENT_SASL_OAUTHBEARER_CLIENT_ID";

/// Returns all users with their passwords, and some without any right: `strangers`.
pub fn all(strangers: &[&str]) -> Result<Vec<(String, String)>> {
    let services = Home::find()?.services()?;
    let names = services.iter().map(String::as_str).chain([MIGRATOR]).chain(strangers.iter().copied());
    Ok(names.map(|name| (name.to_owned(), password(name))).collect())
}

pub fn password(user: &str) -> String {
    format!("password-of-{user}")
}

pub(crate) fn become_migrator(settings: &mut Vec<(String, String)>) {
    settings.retain(|(name, _)| !name.starts_with("KAFKA_SASL_PASSWORD") && name != "KAFKA_SASL_USERNAME");
    settings.push(("KAFKA_SASL_USERNAME".to_owned(), MIGRATOR.to_owned()));
    settings.push(("KAFKA_SASL_PASSWORD".to_owned(), password(MIGRATOR)));
    if let Some((_, client)) = settings.iter_mut().find(|(name, _)| name == CLIENT_ID) {
        MIGRATOR.clone_into(client);
    }
}

/// Returns the rights of a service, as `SERVICE acls` prints them.
pub async fn rights(system: &System, service: &str, more: &[&str]) -> Result<Vec<Acl>> {
    system.member(service).service.rights(more).await
}

/// Grants each service and the migrator what they need.
pub(crate) async fn grant(system: &System) -> Result<()> {
    for service in system.services() {
        for more in [&[][..], &["--migrate", "--user", MIGRATOR]] {
            acls::create(system.brokers(), None, &rights(system, service, more).await?).await?;
        }
    }
    Ok(())
}

pub async fn withdraw(system: &System, rights: &[Acl]) -> Result<()> {
    acls::delete(system.brokers(), None, rights).await
}

pub async fn restore(system: &System, rights: &[Acl]) -> Result<()> {
    acls::create(system.brokers(), None, rights).await
}
