//! `GET /system/df`: what takes how much room.

use alloc::format;

use super::{
    container_list, exchange::Exchange, filters::Filters, image_list, json::Json, target::ApiVersion,
};
use crate::{
    Error, Result,
    clock::Time,
    engine::{
        Engine,
        build::prune::{Doomed, Entry},
    },
};

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
        write_build_cache(&mut json, engine)?;
    } else {
        json.null();
    }
    json.close_object();
    exchange.reply(200, json)
}

fn write_build_cache(json: &mut Json, engine: &Engine) -> Result<()> {
    json.open_array();
    for Entry { step, is_shared } in engine.build_cache()? {
        let made = container_list::time(step.record.created_ns);
        json.open_object().key("ID").string(step.key.hex().as_str()).key("Type").string("regular");
        json.key("Description").string(&step.record.instruction).key("InUse").boolean(false);
        json.key("Shared").boolean(is_shared).key("Size").unsigned(step.record.size_bytes);
        json.key("CreatedAt").string(&format!("{made}")).key("LastUsedAt").string(&format!("{}", step.used));
        json.key("UsageCount").number(1).close_object();
    }
    json.close_array();
    Ok(())
}

/// The filters of `POST /build/prune`.
const PRUNE_FILTERS: [&str; 3] = ["until", "label", "label!"];

/// `POST /build/prune`
pub(super) fn prune_build_cache(exchange: &mut Exchange<'_>, engine: &Engine) -> Result<()> {
    let filters = Filters::parse(exchange.query.text("filters")?, &PRUNE_FILTERS)?;
    let doomed = Doomed { all: exchange.query.flag("all"), until: filters.until(Time::now())? };
    // No step has a label.
    let labelled = ["label", "label!"].iter().any(|name| !filters.values(name).is_empty());
    let (gone, bytes) = if labelled { Default::default() } else { engine.prune_build_cache(doomed)? };
    let mut json = Json::new();
    json.open_object().key("CachesDeleted").value(&(!gone.is_empty()).then_some(gone));
    json.key("SpaceReclaimed").unsigned(bytes).close_object();
    exchange.reply(200, json)
}
