use proptest::prelude::*;

use super::*;

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn debug_output_is_masked() {
    let ada = address("Ada.Lovelace@Example.COM");
    assert_eq!(format!("{ada:?}"), "a***@example.com");
    assert_eq!(ada.masked(), "a***@example.com");
}

#[test]
fn all_spellings_of_an_address_have_one_canonical_form() {
    for (canonical, spellings) in [
        ("ada.lovelace@example.com", &["Ada.Lovelace@Example.COM", "ada.lovelace@example.com."][..]),
        (
            "ada@example.com",
            &[
                "\"ada\"@example.com",
                "\"a\\da\"@EXAMPLE.com",
                "ada@ｅｘａｍｐｌｅ．ｃｏｍ",
                "ada@example。com。",
            ],
        ),
        (
            "a@xn--bcher-kva.example",
            &["a@bücher.example", "a@bu\u{308}cher.example", "A@XN--BCHER-KVA.example", "a@BÜCHER.EXAMPLE"],
        ),
        ("zoë@example.com", &["zoe\u{308}@example.com", "ZOË@example.com"]),
        (
            "ανδρεασ.π@example.com",
            &["ΑΝΔΡΕΑΣ.Π@example.com", "ανδρεας.π@example.com", "ΑΝΔΡΕΑς.π@example.com"],
        ),
        ("ανδρεασ@example.com", &["ΑΝΔΡΕΑΣ@example.com", "ανδρεας@example.com"]),
        ("i\u{307}@example.com", &["\u{130}@EXAMPLE.com", "I\u{307}@example.com"]),
        ("straße@xn--strae-oqa.example", &["STRAẞE@straße.example"]),
        ("\"a b\"@example.com", &["\"A\\ B\"@example.com"]),
        ("\"a\\\"b\\\\\"@example.com", &["\"A\\\"B\\\\\"@example.com"]),
    ] {
        assert_eq!(address(canonical).expose(), canonical);
        for spelling in spellings {
            assert_eq!(address(spelling).expose(), canonical, "{spelling:?}");
        }
    }
    assert_ne!(address("straße@example.com"), address("strasse@example.com"), "another mailbox");
    assert_ne!(address("a@straße.example"), address("a@strasse.example"), "another domain");
}

#[test]
fn refuses_text_that_is_not_an_address() {
    let of_length = |length: usize| format!("{}@example.com", "a".repeat(length - "@example.com".len()));
    assert!(of_length(254).parse::<EmailAddress>().is_ok());
    let growing = format!("{}@example.com", "\u{130}".repeat(120));
    assert!(growing.chars().count() < 254, "only its canonical form is too long");
    let label = format!("a@{}.example", "b".repeat(64));
    let octets = format!("{}@example.com", "ü".repeat(130));
    for bad in [
        "",
        "ada",
        "@example.com",
        "ada@",
        "Ada <ada@example.com>",
        "ada @example.com",
        "ada..b@example.com",
        ".ada@example.com",
        "a;b@example.com",
        "a\u{37e}b@example.com",
        "\"\"@example.com",
        "\"a\"b\"@example.com",
        "\"a\\\"@example.com",
        "ada@[127.0.0.1]",
        "ada@-example.com",
        "ada@exa_mple.com",
        "ada@exa mple.com",
        "ada@example..com",
        "ada@.",
        "ada@xn--a.example",
        "ada@\u{5d0}a.example",
        "ada@a\u{200d}b.example",
        &of_length(255),
        &growing,
        &label,
        &octets,
    ] {
        assert!(bad.parse::<EmailAddress>().is_err(), "{bad:?}");
    }
}

#[test]
fn invisible_characters_are_refused_and_removed_from_older_addresses() {
    let unseen = "\0\u{7f}\u{85}\u{a0}\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{2003}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\
                  \u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{3000}\u{fe0f}\u{feff}\u{e000}\u{378}\u{e0020}";
    for c in unseen.chars() {
        assert_eq!(format!("a{c}da@example.com").parse::<EmailAddress>(), Err(UNSEEN), "{c:?}");
        if !visible::is_joiner(c) {
            assert_eq!(format!("ada@exa{c}mple.com").parse::<EmailAddress>(), Err(UNSEEN), "{c:?}");
        }
    }
    assert_eq!("a@b\r\nBcc: c@d.e".parse::<EmailAddress>(), Err(UNSEEN));
    assert_eq!(
        EmailAddress::from_older("A\u{200b}da\u{feff}@exam\u{ad}ple.com"),
        Ok(address("ada@example.com"))
    );
    assert!(
        EmailAddress::from_older("a\u{e000}da@example.com").is_err(),
        "a private-use character is visible"
    );
}

#[test]
fn a_mailbox_has_no_suffix() {
    for (text, mailbox) in [
        ("ada+shop@example.com", "ada@example.com"),
        ("ada+a+b@example.com", "ada@example.com"),
        ("a.da@example.com", "a.da@example.com"),
        ("+ada@example.com", "+ada@example.com"),
        ("\"ada+x\"@example.com", "ada@example.com"),
        ("\"a b+x\"@example.com", "\"a b\"@example.com"),
        ("ada.+x@example.com", "ada@example.com"),
    ] {
        let found = address(text).mailbox();
        assert_eq!(found.expose(), mailbox);
        assert_eq!(address(found.expose()), found);
    }
}

/// Text of unusual pieces: letters with unusual case mappings, combining marks, quotes, dots, labels.
fn odd_text() -> impl Strategy<Value = String> {
    let pieces = "[aAzİıſKΣςσẞßµϐŉǰΐᾳᾼﬁÅé\u{300}\u{301}\u{307}\u{308}\u{338}\u{345}.+\"\\ @=<>;-]{1,12}";
    let domain = "[aZéÉßΣς한글。．-]{1,6}\\.(com|BÜCHER|xn--bcher-kva|例え)\\.?";
    (prop_oneof![pieces, "\\PC{1,12}", "\"[a-c\\\\ .+]{1,6}\""], prop_oneof![domain, "\\PC{1,8}"])
        .prop_map(|(local, domain)| format!("{local}@{domain}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_canonical_form_parses_to_itself(text in odd_text()) {
        if let Ok(first) = text.parse::<EmailAddress>() {
            prop_assert!(first.expose().len() <= LONGEST);
            prop_assert_eq!(first.expose().parse::<EmailAddress>(), Ok(first.clone()), "{}", first.expose());
            prop_assert_eq!(EmailAddress::from_older(&text), Ok(first.clone()));
            let mailbox = first.mailbox();
            prop_assert_eq!(mailbox.expose().parse::<EmailAddress>(), Ok(mailbox.clone()));
            prop_assert_eq!(mailbox.mailbox(), mailbox);
        }
    }

    #[test]
    fn the_case_of_a_letter_makes_no_difference(letter in any::<char>(), tail in "[.\u{301}aΣ]?") {
        let spell = |letter: &str| format!("x{letter}{tail}x@example.com").parse::<EmailAddress>();
        let as_written = spell(&letter.to_string());
        if as_written.is_ok() {
            prop_assert_eq!(spell(&letter.to_lowercase().to_string()), as_written.clone());
            let upper = letter.to_uppercase().to_string();
            // A capital of several letters, such as that of ß, is another text.
            if upper.chars().count() == 1 {
                prop_assert_eq!(spell(&upper), as_written);
            }
        }
    }
}
