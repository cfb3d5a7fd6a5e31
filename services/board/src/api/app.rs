//! The state of the handlers.

use std::sync::Arc;

use super::control::Control;
use super::html::Pages;
use crate::live::Live;

#[derive(Clone)]
pub(crate) struct App {
    pub live: Arc<Live>,
    pub pages: Arc<Pages>,
    pub control: Control,
}
