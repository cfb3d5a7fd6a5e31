//! The users of a Kafka that `up --secure` or the profile `secure` of docker-compose.yml started, and their rights.

use std::collections::BTreeMap;

use crate::local::{Local, secrets};
use stack::{Error, Guard, Home, Login, acls, home, kafka};

/// The file with which Kafka's own tools log in as the administrator.
pub(crate) const ADMIN_PROPERTIES: &str = "kafka-admin.properties";

/// The user that migrates.
const MIGRATOR: &str = "migrator";

impl Local {
    /// Returns the users of this system's Kafka; `None` when it has no users.
    pub(crate) fn guard(&self, home: &Home) -> anyhow::Result<Option<Guard>> {
        if !self.secure {
            return Ok(None);
        }
        let mut users = Vec::new();
        for name in home.services()?.into_iter().chain([MIGRATOR.to_owned()]) {
            let password = password(home, &name)?;
            users.push((name, password));
        }
        Ok(Some(Guard {
            admin_password: password(home, Guard::ADMIN)?,
            users,
            port: None,
            login: Login::Password,
        }))
    }

    /// Returns the settings with which a program logs in as this user.
    pub(crate) fn login(&self, home: &Home, user: &str) -> anyhow::Result<Vec<(String, String)>> {
        if !self.secure {
            return Ok(Vec::new());
        }
        let settings = [
            ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT".to_owned()),
            ("KAFKA_SASL_MECHANISM", "PLAIN".to_owned()),
            ("KAFKA_SASL_USERNAME", user.to_owned()),
            ("KAFKA_SASL_PASSWORD", password(home, user)?),
        ];
        Ok(settings.map(|(name, value)| (name.to_owned(), value)).to_vec())
    }

    /// Lets the clients of this process log in as the administrator, or as the settings of `up` say.
    pub(crate) fn connect(&self, home: &Home) -> anyhow::Result<()> {
        let mut variables: BTreeMap<String, String> = self.login(home, Guard::ADMIN)?.into_iter().collect();
        if self.given_brokers.is_some() && !self.secure {
            variables.extend(kafka::environment_variables());
            variables.extend(self.settings.clone());
        }
        kafka::connect_with(kafka::connection(variables.into_iter())?);
        Ok(())
    }

    /// Returns the settings of a service's `migrate`.
    pub(crate) fn migrator(&self, home: &Home) -> anyhow::Result<Vec<(String, String)>> {
        self.login(home, MIGRATOR)
    }

    /// Grants each service's user, and the migrator, the rights that `SERVICE acls` prints. Writes the administrator's
    /// properties for Kafka's own tools.
    pub(crate) async fn grant(&self, home: &Home) -> anyhow::Result<()> {
        let Some(guard) = self.guard(home)? else { return Ok(()) };
        let brokers = self.brokers();
        let broker = brokers.split(',').next().unwrap_or_default();
        for name in home.services()? {
            for more in [&["--user", name.as_str()][..], &["--migrate", "--user", MIGRATOR]] {
                let output = self.service(home, &name)?.command(home).arg("acls").args(more).output().await?;
                if !output.status.success() {
                    let text = String::from_utf8_lossy(&output.stderr);
                    return Err(Error::Machine(format!("{name} acls: {}", text.trim())).into());
                }
                let rights = acls::parse(&String::from_utf8_lossy(&output.stdout))?;
                acls::create(broker, Some((Guard::ADMIN, &guard.admin_password)), &rights).await?;
            }
        }
        Ok(home::write_private(&home.data(ADMIN_PROPERTIES), &guard.admin_properties())?)
    }
}

/// Returns the password of a user at this system's Kafka.
pub(crate) fn password(home: &Home, user: &str) -> anyhow::Result<String> {
    Ok(secrets(home)?.get(&format!("kafka {user}"))?)
}
