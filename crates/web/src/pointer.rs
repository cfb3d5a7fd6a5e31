//! JSON pointers (RFC 6901): how a 422 names the place in a body.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// The pointer to a place: `pointer(["items", "0", "sku"])` is `/items/0/sku`.
pub fn pointer<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> String {
    segments.into_iter().fold(String::new(), |pointer, segment| push(pointer, segment.as_ref()))
}

/// The pointer one step further down.
pub(crate) fn push(mut pointer: String, segment: &str) -> String {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
    pointer
}

/// The place where serde stopped.
pub(crate) fn of_path(path: &Path) -> String {
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    });
    pointer(segments)
}

/// The first string, or name of a member, with a NUL character in it.
pub(crate) fn of_nul(value: &Value, at: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| at.to_owned()),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| of_nul(item, &push(at.to_owned(), &index.to_string())))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let here = push(at.to_owned(), name);
            if name.contains('\0') { Some(here) } else { of_nul(member, &here) }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped() {
        assert_eq!(pointer(["items", "0", "a/b~c"]), "/items/0/a~1b~0c");
        assert_eq!(pointer::<&str>([]), "");
    }

    #[test]
    fn a_nul_is_found_where_it_is() {
        let value = serde_json::json!({"items": [{"sku": "a"}, {"sku": "b\0"}]});
        assert_eq!(of_nul(&value, "").as_deref(), Some("/items/1/sku"));
        assert_eq!(of_nul(&serde_json::json!([1, null, "a"]), ""), None);
    }
}
