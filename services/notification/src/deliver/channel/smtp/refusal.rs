//! What a mail server's refusal means. Its own words are not passed on: servers like to quote the address.

use lettre::transport::smtp::Error;

use crate::deliver::delivery::Attempt;

/// 5xx is for good, everything else may work later (RFC 5321, 4.2.1).
pub(super) fn attempt(error: &Error) -> Attempt {
    let Some(status) = error.status() else {
        let what = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        return Attempt::NotNow(format!("the mail server {what}"));
    };
    let words = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let refusal = match enhanced(&words) {
        Some(enhanced) => format!("the mail server refused it: {status} {enhanced}"),
        None => format!("the mail server refused it: {status}"),
    };
    // A wrong password or a missing STARTTLS is the operator's to repair, not the recipient's fault (RFC 4954, 6).
    let ours = ["530", "534", "535", "538"].contains(&status.to_string().as_str());
    if error.is_permanent() && !ours { Attempt::Never(refusal) } else { Attempt::NotNow(refusal) }
}

/// The enhanced status code (RFC 3463) at the head of the server's words, as `5.1.1`.
fn enhanced(words: &str) -> Option<&str> {
    let code = words.split_whitespace().next()?;
    let parts: Vec<&str> = code.split('.').collect();
    let digits =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(digits)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enhanced_code_is_all_that_is_kept_of_the_words() {
        assert_eq!(enhanced("5.1.1 <ada@example.com>: no such user"), Some("5.1.1"));
        assert_eq!(enhanced("user ada@example.com unknown"), None);
        assert_eq!(enhanced("5.1.x"), None);
        assert_eq!(enhanced(""), None);
    }
}
