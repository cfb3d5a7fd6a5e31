//! Ways to log in at a Kafka with users, other than with a name and a password.

use stack::{Error, Login, Result, environment, helper, java};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The key store lies in a folder that only its owner may read, but Java wants a password.
const STORE_PASSWORD: &str = "changeit";

/// A certificate for 127.0.0.1 and its authority.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The file of key and certificate (PKCS #12), with the password [`STORE_PASSWORD`].
    keystore: String,
    /// The authority's certificate (PEM), for clients.
    pub authority: PathBuf,
}

impl Certificate {
    /// Creates an authority and a certificate with Java's keytool. An expired certificate ended yesterday.
    pub async fn create(folder: &Path, is_expired: bool) -> Result<Self> {
        let folder =
            folder.to_str().ok_or_else(|| Error::Failed("a path is not valid Unicode".to_owned()))?;
        let (keystore, authority) = (format!("{folder}/kafka.p12"), format!("{folder}/ca.pem"));
        let key = ["-genkeypair", "-keyalg", "RSA", "-alias"];
        let validity: &[&str] =
            if is_expired { &["-startdate", "-9d", "-validity", "8"] } else { &["-validity", "30"] };
        let authority_options = ["ca", "-dname", "CN=ca", "-ext", "bc:c=ca:true", "-validity", "30"];
        let broker_options =
            ["kafka", "-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1,dns:localhost", "-signer", "ca"];
        let steps: [Vec<&str>; 4] = [
            [&key[..], &authority_options].concat(),
            [&key[..], &broker_options, validity].concat(),
            vec!["-exportcert", "-rfc", "-alias", "ca", "-file", &authority],
            // Kafka would present the first key of the store.
            vec!["-delete", "-alias", "ca"],
        ];
        let tool = java::find()?;
        let tool = tool.parent().map_or_else(|| PathBuf::from("keytool"), |folder| folder.join("keytool"));
        for step in steps {
            let mut command = Command::new(&tool);
            command.env_clear().envs(environment::kafka()).args(step);
            command.args(["-keystore", &keystore, "-storetype", "PKCS12", "-storepass", STORE_PASSWORD]);
            helper::run("keytool", &mut command).await?;
        }
        Ok(Self { keystore, authority: authority.into() })
    }

    /// Returns the login with SCRAM-SHA-512 over TLS.
    pub fn login(&self) -> Login {
        let properties = format!(
            "listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.client.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.client.ssl.keystore.type=PKCS12\n\
             listener.name.client.ssl.keystore.location={}\n\
             listener.name.client.ssl.keystore.password={STORE_PASSWORD}\n",
            self.keystore
        );
        Login { is_scram: true, properties }
    }
}

/// Returns the login with tokens (OAUTHBEARER), without TLS. Kafka accepts tokens without a signature, as by default: for a test
/// of the clients.
pub fn tokens() -> Login {
    let properties = "listener.name.client.sasl.enabled.mechanisms=OAUTHBEARER\n\
         listener.name.client.oauthbearer.sasl.jaas.config=\
         org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
         unsecuredLoginStringClaim_sub=\"none\";\n";
    Login { is_scram: false, properties: properties.to_owned() }
}
