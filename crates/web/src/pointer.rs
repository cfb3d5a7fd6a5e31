//! JSON pointers (RFC 6901), which name the place in a body that a 422 refuses.

use serde_path_to_error::{Path, Segment};

/// Returns the pointer to a place: `pointer(["items", "0", "sku"])` is `/items/0/sku`.
pub fn pointer<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> String {
    segments.into_iter().fold(String::new(), |pointer, segment| push(pointer, segment.as_ref()))
}

/// Appends a segment to a pointer.
pub(crate) fn push(mut pointer: String, segment: &str) -> String {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
    pointer
}

/// Returns the pointer to the place where serde stopped.
pub(crate) fn of_path(path: &Path) -> String {
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    });
    pointer(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped() {
        assert_eq!(pointer(["items", "0", "a/b~c"]), "/items/0/a~1b~0c");
        assert_eq!(pointer::<&str>([]), "");
    }
}
