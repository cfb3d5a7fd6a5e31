//! JSON pointers (RFC 6901): how a 422 names the place in a body.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped() {
        assert_eq!(pointer(["items", "0", "a/b~c"]), "/items/0/a~1b~0c");
        assert_eq!(pointer::<&str>([]), "");
    }
}
