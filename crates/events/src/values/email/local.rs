//! The part before the `@`: an RFC 5321 dot-string or quoted string, with the characters of RFC 6531.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

/// The canonical form of a local part; `None` when it is none.
pub(super) fn canonical(local: &str) -> Option<String> {
    let local = nfc(local);
    let content = match local.strip_prefix('"') {
        Some(quoted) => Cow::Owned(unquote(quoted)?),
        None => Some(local).filter(|local| is_dot_string(local))?,
    };
    Some(quote(&fold(&content)))
}

/// A canonical local part without what follows a `+`: the mailbox that a subaddress (RFC 5233) belongs to.
pub(super) fn without_suffix(local: &str) -> String {
    let content = local.strip_prefix('"').and_then(unquote).unwrap_or_else(|| local.to_owned());
    match content.split_once('+').map(|(mailbox, _)| mailbox.trim_end_matches('.')) {
        None | Some("") => local.to_owned(),
        Some(mailbox) => quote(mailbox),
    }
}

/// Simple case folding of the lower case, in NFC.
///
/// A capital becomes its small letter whatever stands beside it: `str::to_lowercase` makes a final sigma of a capital
/// one, depending on what follows, so that a capital and a small spelling would differ. Full case folding would make
/// `strasse` of `straße`, which is another mailbox; nothing here takes one visible letter for two.
fn fold(text: &str) -> String {
    let mapper = CaseMapper::new();
    let folded: String =
        text.chars().flat_map(char::to_lowercase).map(|lower| mapper.simple_fold(lower)).collect();
    nfc(&folded).into_owned()
}

fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// The content of a quoted string whose opening quote is gone already.
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

/// As short as it can be written: quoted only where it must be.
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
