//! `forewarn serve`: one bundle behind gRPC.

use anyhow::Context;
use model::LoadedBundle;
use serve::{Model, ServeConfig};

use crate::args::ServeArgs;
use crate::config_file;
use crate::exit::usage;

pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    for address in [Some(args.listen), args.http].into_iter().flatten() {
        if !address.ip().is_loopback() && !args.insecure {
            return Err(usage(format!(
                "{address} can be reached from other machines and there is no encryption; bind to 127.0.0.1 or say --insecure"
            )));
        }
    }
    let text = config_file::text(args.config.as_deref())?;
    let config = ServeConfig::parse(&text)?;
    let bundle = LoadedBundle::load(&args.bundle, args.device)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        let listener = serve::bind(args.listen).await?;
        let http = match args.http {
            Some(address) => Some(serve::bind(address).await?),
            None => None,
        };
        let grpc_address = listener.local_addr()?;
        let model = served(bundle);
        println!("serving {}@{} on {grpc_address}, device {}", model.info.name, model.info.version, model.device);
        if let Some(http) = &http {
            println!("metrics on http://{}/metrics", http.local_addr()?);
        }
        serve::run(listener, http, model, config, crate::stop::signal()).await?;
        anyhow::Ok(())
    })
}

/// A loaded bundle as the server takes it.
pub(crate) fn served(bundle: LoadedBundle) -> Model {
    let (info, predictor, device) = bundle.into_parts();
    Model { info, predictor: Box::new(predictor), device: device.name }
}
