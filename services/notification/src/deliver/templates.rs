//! What a recipient reads: the templates of `templates/`, filled. Each kind has a text, whose first line is the
//! subject, and a page for mail programs that show HTML, where everything that others supplied is escaped.

use events::Item;
use events::values::Money;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, HtmlEscape, Output, State, escape_formatter};
use serde::Serialize;

use super::content::{Content, kind_name};
use crate::notify_me::links::{Linker, Links};

/// The templates, ready to be filled.
pub(crate) struct MailTemplates {
    environment: Environment<'static>,
    shop: Shop,
    linker: Linker,
}

/// What templates may say of the shop.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Shop {
    /// Its name.
    pub name: String,
    /// Where it is on the web, where that is set.
    pub url: Option<String>,
}

/// What a template reads: the content's fields, the links of the message, and the shop.
#[derive(Serialize)]
struct Filling<'a> {
    shop: &'a Shop,
    links: Links,
    #[serde(flatten)]
    content: &'a Content,
}

/// A message as plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub subject: String,
    pub body: String,
}

/// The texts and pages by kind.
const TEMPLATES: [(&str, &str); 13] = [
    ("layout.html", include_str!("../../templates/layout.html")),
    ("parts.html", include_str!("../../templates/parts.html")),
    ("order.html", include_str!("../../templates/order.html")),
    ("order_confirmed.txt", include_str!("../../templates/order_confirmed.txt")),
    ("order_confirmed.html", include_str!("../../templates/order_confirmed.html")),
    ("order_cancelled.txt", include_str!("../../templates/order_cancelled.txt")),
    ("order_cancelled.html", include_str!("../../templates/order_cancelled.html")),
    ("order_refunded.txt", include_str!("../../templates/order_refunded.txt")),
    ("order_refunded.html", include_str!("../../templates/order_refunded.html")),
    ("confirm_subscription.txt", include_str!("../../templates/confirm_subscription.txt")),
    ("confirm_subscription.html", include_str!("../../templates/confirm_subscription.html")),
    ("back_in_stock.txt", include_str!("../../templates/back_in_stock.txt")),
    ("back_in_stock.html", include_str!("../../templates/back_in_stock.html")),
];

impl MailTemplates {
    /// Reads the templates.
    pub(crate) fn new(shop: Shop, linker: Linker) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // A line with nothing but a tag leaves no line behind.
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_formatter(escape);
        environment.add_filter("money", |money: Serde<Money>| money.to_string());
        environment.add_filter("price", |item: Serde<Item>| price(&item));
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        Ok(Self { environment, shop, linker })
    }

    /// Subject and text.
    pub(crate) fn text(&self, content: &Content) -> Result<Text, Error> {
        let filled = self.fill(content, "txt")?;
        let (subject, body) = filled.split_once('\n').unwrap_or((&filled, ""));
        Ok(Text { subject: subject.trim().to_owned(), body: body.trim().to_owned() })
    }

    /// The page.
    pub(crate) fn html(&self, content: &Content) -> Result<String, Error> {
        self.fill(content, "html")
    }

    /// Where one click ends the subscription that the message is about.
    pub(crate) fn unsubscribe(&self, content: &Content) -> Option<String> {
        self.linker.links(content).unsubscribe
    }

    fn fill(&self, content: &Content, form: &str) -> Result<String, Error> {
        let filling = Filling { shop: &self.shop, links: self.linker.links(content), content };
        let name = format!("{}.{form}", kind_name(content.kind()));
        self.environment.get_template(&name)?.render(Serde(filling))
    }
}

/// As the library escapes for HTML, but for the slash, which needs it in no place of ours: a link stays one to whoever
/// reads the source.
pub(crate) fn escape(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() {
        let escaped = HtmlEscape(&value.to_string()).to_string().replace("&#x2f;", "/");
        return out.write_str(&escaped).map_err(Error::from);
    }
    escape_formatter(out, state, value)
}

/// What a line costs.
fn price(item: &Item) -> String {
    item.unit_price.times(item.quantity.get()).map_or_else(String::new, |price| price.to_string())
}

#[cfg(test)]
mod tests;
