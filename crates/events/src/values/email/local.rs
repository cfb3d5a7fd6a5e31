//! The local part of an address: an RFC 5321 dot-string or quoted string, with the characters of RFC 6531.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

/// Returns the canonical form of a local part; `None` when the text is not a local part.
pub(super) fn canonical(local: &str) -> Option<String> {
    let local = nfc(local);
    let content = match local.strip_prefix('"') {
        Some(quoted) => Cow::Owned(unquote(quoted)?),
        None => Some(local).filter(|local| is_dot_string(local))?,
    };
    Some(quote(&fold(&content)))
}

/// Removes the first `+` and all after it from a canonical local part: the mailbox of a subaddress (RFC 5233).
pub(super) fn without_suffix(local: &str) -> String {
    let content = local.strip_prefix('"').and_then(unquote).unwrap_or_else(|| local.to_owned());
    match content.split_once('+').map(|(mailbox, _)| mailbox.trim_end_matches('.')) {
        None | Some("") => local.to_owned(),
        Some(mailbox) => quote(mailbox),
    }
}

/// Applies simple case folding to the lower case, and NFC.
///
/// Each letter is folded without regard to its neighbours: `str::to_lowercase` turns a capital sigma at the end of a
/// word into a final sigma, so that a capital and a small spelling would differ. Full case folding would turn
/// `straße` into `strasse`, which is another mailbox; simple folding never turns one visible letter into two.
fn fold(text: &str) -> String {
    let mapper = CaseMapper::new();
    let folded: String =
        text.chars().flat_map(char::to_lowercase).map(|lower| mapper.simple_fold(lower)).collect();
    nfc(&folded).into_owned()
}

fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Returns the content of a quoted string whose opening quote has been removed.
fn unquote(quoted: &str) -> Option<String> {
    let mut content = String::with_capacity(quoted.len());
    let mut chars = quoted.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => content.push(chars.next()?),
            '"' => return None,
            _ => content.push(c),
        }
    }
    Some(content).filter(|content| !content.is_empty())
}

/// Writes a local part in its shortest form: quoted only where quotes are required.
fn quote(content: &str) -> String {
    if is_dot_string(content) {
        return content.to_owned();
    }
    let escaped = content.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

fn is_dot_string(text: &str) -> bool {
    let is_atext = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}
