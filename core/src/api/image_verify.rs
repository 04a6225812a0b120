//! `POST /skiff/images/verify?name=...&remove=1`: the answer is a stream of JSON lines: how far it is, what is damaged, what
//! became of that, and at last how much was looked at.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{exchange::Exchange, image_load::still_there, json::Json};
use crate::{
    Error, Result,
    engine::{
        Engine,
        image::verify::{Finding, Told},
    },
};

/// `POST /skiff/images/verify`
pub(super) fn verify(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let names = exchange.query.all("name").map(|name| core::str::from_utf8(name).map(ToString::to_string));
    let names = names.collect::<Result<Vec<String>, _>>();
    let names = names.map_err(|_| Error::Invalid("parse query: name is not valid UTF-8".into()))?;
    let remove = exchange.query.flag("remove");
    let mut begun = false;
    let verified = engine.verify_images(&names, remove, &mut |told| {
        let mut json = Json::new();
        json.open_object();
        match told {
            Told::Nothing => return still_there(exchange),
            Told::Far(current, total) => {
                json.key("status").string("Verifying").key("progressDetail").open_object();
                json.key("current").unsigned(current).key("total").unsigned(total).close_object();
                json.key("id").string("layers");
            }
            Told::Damaged(finding) => write(&mut json, "damaged", finding),
            Told::Kept(finding) => write(&mut json, "kept", finding),
            Told::Dropped(kind, id) => {
                json.key("dropped")
                    .open_object()
                    .key("Kind")
                    .string(kind)
                    .key("ID")
                    .string(id)
                    .close_object();
            }
            Told::Removed(removal) => {
                json.key("removed").value(removal);
            }
        }
        json.close_object().line_break();
        if !begun {
            exchange.stream("application/json")?;
            begun = true;
        }
        exchange.chunk(&json.into_bytes())
    });
    let json = match verified {
        Err(error) if !begun => return Err(error),
        Err(error) => Json::error_line(&error.to_string(), None),
        Ok(verified) => {
            let mut json = Json::new();
            json.open_object().key("verified").value(&verified).close_object().line_break();
            json
        }
    };
    if !begun {
        exchange.stream("application/json")?;
    }
    exchange.chunk(&json.into_bytes())
}

fn write(json: &mut Json, key: &str, finding: &Finding) {
    json.key(key).value(finding);
}
