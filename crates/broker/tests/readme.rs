//! The README shows the code of `examples/counter`, which compiles.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// The longest handler that the README may show, in lines.
const HANDLER: usize = 40;

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_code_of_the_readme_is_that_of_the_example_and_its_handler_is_short() {
    let readme = read("README.md");
    let example = read("examples/counter/handler.rs") + &read("examples/counter/main.rs");
    let blocks: Vec<&str> =
        readme.split("```rust").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let code: Vec<&str> = blocks.iter().map(|block| block.split_once('\n').unwrap().1).collect();
    assert_eq!(code.len(), 3);
    for block in &code {
        assert!(example.contains(block), "not in examples/counter:\n{block}");
    }
    assert!(code[0].lines().count() <= HANDLER, "{} lines", code[0].lines().count());
}
