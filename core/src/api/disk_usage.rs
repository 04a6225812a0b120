//! `GET /system/df`: what takes how much room.

use alloc::format;

use super::{container_list, exchange::Exchange, image_list, json::Json, target::ApiVersion};
use crate::{Error, Result, engine::Engine};

/// The kinds of things, as requests name them.
const TYPES: [&str; 4] = ["container", "image", "volume", "build-cache"];
/// Since this version a request can name some of them.
const HAS_TYPES: ApiVersion = ApiVersion(42);

/// `GET /system/df`
pub(super) fn usage(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let mut asked = [false; TYPES.len()];
    if exchange.version >= HAS_TYPES {
        for kind in exchange.query.all("type") {
            let known = TYPES
                .iter()
                .position(|known| known.as_bytes() == kind)
                .ok_or_else(|| Error::Invalid(format!("unknown object type: {}", kind.escape_ascii())))?;
            asked[known] = true;
        }
    }
    if asked == [false; TYPES.len()] {
        asked = [true; TYPES.len()];
    }
    let [containers, images, volumes, build_cache] = asked;
    engine.sweep();
    let listed = engine.all_listed()?;
    let mut json = Json::new();
    json.open_object().key("LayersSize");
    if images {
        let images = engine.listed_images()?;
        let usage = engine.layer_usage(&images);
        json.unsigned(usage.total_bytes()).key("Images").open_array();
        for image in &images {
            let id = format!("{}", image.id);
            let containers = listed.iter().filter(|(record, _)| record.image == id).count() as i64;
            let shared_bytes = usage.shared_bytes(image) as i64;
            image_list::write(
                &mut json,
                image,
                &image_list::Usage { shared_bytes, containers },
                exchange.version,
            );
        }
        json.close_array();
    } else {
        json.unsigned(0).key("Images").null();
    }
    json.key("Containers");
    if containers {
        container_list::write_all(&mut json, engine, &listed)?;
    } else {
        json.null();
    }
    json.key("Volumes");
    if volumes {
        json.value(&engine.volumes_in_use()?);
    } else {
        json.null();
    }
    json.key("BuildCache");
    if build_cache {
        // Nothing is built here, and nothing kept of it.
        json.open_array().close_array();
    } else {
        json.null();
    }
    json.close_object();
    exchange.reply(200, json)
}

/// `POST /build/prune`: there is nothing that could go.
pub(super) fn prune_build_cache(exchange: &mut Exchange<'_>, _: &Engine) -> Result<()> {
    let mut json = Json::new();
    json.open_object().key("CachesDeleted").null().key("SpaceReclaimed").unsigned(0).close_object();
    exchange.reply(200, json)
}
