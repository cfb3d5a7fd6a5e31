//! Builds the mail of a delivery: headers, text and envelope. Domains are written as A-labels (IDNA 2008), which every server
//! accepts.

use events::values::EmailAddress;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::session::OutgoingMail;
use crate::delivery::templates::MailTemplates;
use crate::domain::delivery::Delivery;

#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error("the template does not render: {0}")]
    Template(#[from] minijinja::Error),
    #[error("the mail cannot be built: {0}")]
    Build(#[from] lettre::error::Error),
    #[error("the mail cannot be built: {0}")]
    Header(#[from] lettre::message::header::InvalidHeaderName),
}

/// Builds the mail of `delivery`. The domain of `from` is in A-labels.
pub(super) fn build(
    delivery: &Delivery,
    from: &Mailbox,
    to: &EmailAddress,
    templates: &MailTemplates,
) -> Result<OutgoingMail, BuildError> {
    let content = &delivery.content;
    let (text, html) = (templates.text(content)?, templates.html(content)?);
    let to = recipient(to);
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()])?;
    let mut mail = Message::builder()
        // Set here: lettre's own, made from the headers, rejects a local part of more than 64 octets.
        .envelope(envelope.clone())
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(text.subject)
        // The same for each attempt, so that mail programs show a repeated mail once.
        .message_id(Some(format!("<{}@{}>", delivery.id, from.email.domain())))
        .multipart(MultiPart::alternative_plain_html(text.body, html))?;
    // No automatic replies (RFC 3834).
    add(&mut mail, "Auto-Submitted", "auto-generated".to_owned())?;
    if let Some(link) = templates.unsubscribe(content) {
        // The mail program's own unsubscribe button (RFC 8058).
        add(&mut mail, "List-Unsubscribe", format!("<{link}>"))?;
        add(&mut mail, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())?;
    }
    Ok(OutgoingMail { envelope, text: mail.formatted() })
}

/// Parses `MAIL_FROM`, as "Blue Shop <hello@shop.example>", with the domain in A-labels.
pub(crate) fn mailbox(text: &str) -> Result<Mailbox, String> {
    let mailbox: Mailbox = text.parse().map_err(|error: lettre::address::AddressError| error.to_string())?;
    let domain = match mailbox.email.domain() {
        // A literal, as [192.0.2.7], is not a domain name.
        literal if literal.starts_with('[') => literal.to_owned(),
        name => idna::domain_to_ascii(name).map_err(|_| "its domain is not valid")?,
    };
    let email = Address::new_dangerous(mailbox.email.user(), domain);
    Ok(Mailbox::new(mailbox.name, email))
}

/// An [`EmailAddress`] is valid and its domain is in A-labels. lettre's own check would reject a local part of more than 64 octets.
fn recipient(to: &EmailAddress) -> Address {
    let (user, domain) = to.expose().rsplit_once('@').unwrap_or_default();
    Address::new_dangerous(user, domain)
}

fn add(mail: &mut Message, name: &str, value: String) -> Result<(), BuildError> {
    let name = HeaderName::new_from_ascii(name.to_owned())?;
    mail.headers_mut().insert_raw(HeaderValue::new(name, value));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_s_domain_is_in_a_labels() {
        let from = mailbox("Bücher <shop@bücher.example>").unwrap();
        assert_eq!((from.name.as_deref(), from.email.domain()), (Some("Bücher"), "xn--bcher-kva.example"));
        assert_eq!(mailbox("shop@localhost").unwrap().email.to_string(), "shop@localhost");
        assert!(mailbox("no address").is_err());
    }

    #[test]
    fn the_recipient_s_domain_is_in_a_labels() {
        let to: EmailAddress = "pat@bücher.example".parse().unwrap();
        assert_eq!(recipient(&to).to_string(), "pat@xn--bcher-kva.example");
    }
}
