//! The users of a Kafka that `up --secure` or the profile `secure` of docker-compose.yml started, and their rights.

use crate::local::{Local, secrets};
use crate::tool_properties;
use stack::{Guard, Home, Login, acls, home, kafka, login_settings};
use std::collections::BTreeMap;

/// The file with which Kafka's own tools log in as the administrator.
pub(crate) const ADMIN_PROPERTIES: &str = "kafka-admin.properties";

impl Local {
    /// Returns the users of this system's Kafka; `None` when it has no users.
    pub(crate) fn guard(&self, home: &Home) -> anyhow::Result<Option<Guard>> {
        if !self.secure {
            return Ok(None);
        }
        let mut users = Vec::new();
        for name in home.services()?.into_iter().chain([Guard::MIGRATOR.to_owned()]) {
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
        Ok(login_settings(user, password(home, user)?).to_vec())
    }

    /// Lets the clients of this process log in as the administrator, or as the settings of `up` say.
    pub(crate) fn connect(&self, home: &Home) -> anyhow::Result<()> {
        let mut variables: BTreeMap<String, String> = self.login(home, Guard::ADMIN)?.into_iter().collect();
        if self.given_brokers.is_some() && !self.secure {
            variables.extend(kafka::environment_variables());
            variables.extend(self.settings.clone());
        }
        Ok(kafka::connect_with(variables.into_iter())?)
    }

    /// Returns the settings of a service's `migrate`.
    pub(crate) fn migrator(&self, home: &Home) -> anyhow::Result<Vec<(String, String)>> {
        self.login(home, Guard::MIGRATOR)
    }

    /// Grants each service's user, and the migrator, the rights that `SERVICE acls` prints. Writes the administrator's
    /// properties for Kafka's own tools.
    pub(crate) async fn grant(&self, home: &Home) -> anyhow::Result<()> {
        let Some(guard) = self.guard(home)? else { return Ok(()) };
        let brokers = self.brokers();
        let broker = brokers.split(',').next().unwrap_or_default();
        for name in home.services()? {
            let service = self.service(home, &name)?;
            for more in [&["--user", name.as_str()][..], &["--migrate", "--user", Guard::MIGRATOR]] {
                let rights = service.rights(home, more).await?;
                acls::create(broker, Some((Guard::ADMIN, &guard.admin_password)), &rights).await?;
            }
        }
        let properties = tool_properties::of_this_process()?.unwrap_or_default();
        Ok(home::write_private(&home.data(ADMIN_PROPERTIES), &properties)?)
    }
}

/// Returns the password of a user at this system's Kafka.
pub(crate) fn password(home: &Home, user: &str) -> anyhow::Result<String> {
    Ok(secrets(home)?.get(&format!("kafka {user}"))?)
}
