//! Message formats of applications, `[[application.template]]`.

use super::check::Review;
use super::file;
use crate::push::{Application, PROVIDERS, Template, Written};

const SECTION: &str = "application.template";

/// Reads the templates of an application, whose tables are the `tables`-th and following of the file.
pub(super) fn fill(
    review: &mut Review<'_>,
    tables: &mut usize,
    application: &mut Application,
    app: &file::Application,
) {
    let (first, written) = (*tables, &app.template);
    *tables += written.len();
    let provider = PROVIDERS.iter().find(|(name, _)| *name == application.provider);
    // A provider that there is not was complained of already.
    let Some((_, provider)) = provider else { return };
    for (nth, one) in written.iter().enumerate() {
        let at = first + nth;
        let (event, body, url) = (one.event.clone(), one.body.clone(), one.url.clone());
        let (platform, headers) = (one.platform.clone(), one.headers.clone());
        let one = Written { platform, event, body, url, headers };
        match Template::read(&one, &provider.form, application) {
            Ok(template) => {
                if template.names_message() && !app.carry_message {
                    let what = "no payload carries ${message}; write carry-message = true in the \
                        application as well";
                    review.fault(SECTION, at, "body", what);
                }
                if !application.templates.add(template) {
                    let what = "this application has a template for it above; write each event of a \
                        platform once";
                    review.fault(SECTION, at, "event", what);
                }
            }
            Err(lacks) => {
                for (key, what) in lacks {
                    review.fault(SECTION, at, key, what);
                }
            }
        }
    }
}
