//! Removes e-mail addresses from what the board shows. Only the topic `customers` carries them by design, and the board does
//! not read it; but customers may write one into any free text, such as the name of a payment method.

use std::borrow::Cow;

use serde_json::Value;

/// Replaces every word with an `@` by `***`, in all strings of a JSON value.
pub(super) fn json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = self::text(text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(json),
        Value::Object(fields) => fields.values_mut().for_each(json),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces every word with an `@` by `***`, and escapes invisible characters.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return escape::text(text);
    }
    let words =
        text.split(' ').map(|word| if word.contains('@') { "***".into() } else { escape::text(word) });
    Cow::Owned(words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_masked_wherever_it_stands() {
        let mut value =
            serde_json::json!({"a": ["transfer to ada@example.com now", {"b": "ok\u{202e}"}], "n": 1});
        json(&mut value);
        let masked = serde_json::json!({"a": ["transfer to *** now", {"b": "ok\\u{202e}"}], "n": 1});
        assert_eq!(value, masked);
    }
}
