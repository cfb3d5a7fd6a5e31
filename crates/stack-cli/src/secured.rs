//! The users of a Kafka that `up --secure` or the profile `secure` of docker-compose.yml started, and their rights.

use crate::local::Local;
use crate::tool_properties;
use stack::{Guard, Login, acls, home, kafka, login_settings};
use std::collections::BTreeMap;

/// The file with which Kafka's own tools log in as the administrator.
pub(crate) const ADMIN_PROPERTIES: &str = "kafka-admin.properties";

impl Local {
    /// Returns the users of this system's Kafka; `None` when it has no users.
    pub(crate) fn guard(&self) -> anyhow::Result<Option<Guard>> {
        if !self.secure {
            return Ok(None);
        }
        let mut users = Vec::new();
        for name in self.home.services()?.into_iter().chain([Guard::MIGRATOR.to_owned()]) {
            let password = self.password(&name)?;
            users.push((name, password));
        }
        Ok(Some(Guard {
            admin_password: self.password(Guard::ADMIN)?,
            users,
            port: None,
            login: Login::default(),
        }))
    }

    /// Returns the settings with which a program logs in as this user.
    pub(crate) fn login(&self, user: &str) -> anyhow::Result<Vec<(String, String)>> {
        if !self.secure {
            return Ok(Vec::new());
        }
        Ok(login_settings(user, self.password(user)?).to_vec())
    }

    /// Lets the clients of this process log in as the administrator, or as the settings of `up` say.
    pub(crate) fn connect(&self) -> anyhow::Result<()> {
        let mut variables: BTreeMap<String, String> = self.login(Guard::ADMIN)?.into_iter().collect();
        if self.given_brokers.is_some() && !self.secure {
            variables.extend(kafka::environment_variables());
            variables.extend(self.settings.clone());
        }
        Ok(kafka::connect_with(variables.into_iter())?)
    }

    /// Grants each service's user, and the migrator, the rights that `SERVICE acls` prints. Writes the administrator's
    /// properties for Kafka's own tools.
    pub(crate) async fn grant(&self) -> anyhow::Result<()> {
        let Some(guard) = self.guard()? else { return Ok(()) };
        let brokers = self.brokers();
        let broker = brokers.split(',').next().unwrap_or_default();
        for name in self.home.services()? {
            let service = self.service(&name)?;
            for more in [&["--user", name.as_str()][..], &["--migrate", "--user", Guard::MIGRATOR]] {
                let rights = service.rights(more).await?;
                acls::create(broker, Some((Guard::ADMIN, &guard.admin_password)), &rights).await?;
            }
        }
        let properties = tool_properties::of_this_process()?.unwrap_or_default();
        Ok(home::write_private(&self.home.data(ADMIN_PROPERTIES), &properties)?)
    }

    pub(crate) fn password(&self, user: &str) -> anyhow::Result<String> {
        Ok(self.secrets()?.get(&format!("kafka {user}"))?)
    }
}
