"""Interactions → fitted models in the lake and in MLflow; their blend becomes the champion."""

import hashlib
from datetime import date

import dagster as dg
import numpy as np
import polars as pl

from recsys_assets.assets.evaluation import read_choices
from recsys_assets.assets.stage import stage
from recsys_assets.models import load, make_blend, save
from recsys_assets.models.base import Interactions, Recommender
from recsys_assets.models.blend import MEMBERS, Blend
from recsys_assets.partitions import DAY, day_of
from recsys_assets.plots import metrics_by_model
from recsys_assets.resources import Shop
from recsys_assets.stores.tracking import Run, metric_name
from recsys_assets.tables import EVALUATION, INTERACTIONS

FLAVOURS = {
    "popularity": "What most people buy.",
    "personal": "What the person buys again and again, by decayed frequency.",
    "item_cf": "Neighbours: products bought by the same people.",
    "als": "Implicit-feedback matrix factorisation; people are folded in when lists are made.",
}


VERSION_FILE = "version.txt"


def folder_name(model: str) -> str:
    """Name of the lake's folders of a model's arrays."""
    return f"models/{model}"


def load_model(shop: Shop, name: str, day: date) -> Recommender:
    """The model that was made on ``day``."""
    with shop.lake.folder(folder_name(name), day) as folder:
        return load(name, folder)


def load_blend(shop: Shop, day: date) -> Blend:
    """The blend that was made on ``day``."""
    blend = load_model(shop, "blend", day)
    assert isinstance(blend, Blend)
    return blend


def _record(context: dg.AssetExecutionContext, shop: Shop, model: Recommender, day: date) -> Run:
    """A tracked run with the model's parameters, and its figures of the day's evaluation."""
    settings = shop.tuning.model_dump_json()
    members = model.parameters.get("members", {model.name: model.parameters})
    parameters = {f"{name}.{key}": value for name, given in members.items() for key, value in given.items()}
    if isinstance(model, Blend):
        parameters |= {f"weight.{name}": weight for name, weight in model.weights.items()}
    return shop.tracking.run(
        model.name,
        day=day,
        dagster_run_id=context.run_id,
        settings_hash=hashlib.sha256(settings.encode()).hexdigest()[:16],
        parameters=parameters,
    )


def _figures(shop: Shop, day: date, model: str) -> dict[str, float]:
    """The model's figures of the day's evaluation, under names that all models share, so that MLflow compares them."""
    rows = shop.lake.read(EVALUATION, day).filter(pl.col.model == model)
    return {
        metric_name(row["metric"], row["k"], row["split"], row["target"]): row["value"]
        for row in rows.iter_rows(named=True)
    }


def _member(name: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        partitions_def=DAY,
        deps=["interactions", "evaluation"],
        description=FLAVOURS[name],
    )
    def member(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
        with stage() as metadata:
            day = day_of(context)
            train = Interactions.from_frame(shop.lake.read(INTERACTIONS, day))
            model = make_blend(shop.tuning, read_choices(shop, day), shop.settings.threads).models[name]
            with _record(context, shop, model, day) as run:
                model.fit(train)
                with shop.lake.new_folder(folder_name(name), day) as folder:
                    save(model, folder)
                run.log_metrics(_figures(shop, day, name))
                return dg.MaterializeResult(
                    metadata=metadata(len(train.product_ids), people=len(train.person_keys), mlflow_run=run.run_id)
                )

    return member


popularity, personal, item_cf, als = (_member(name) for name in FLAVOURS)


@dg.asset(
    partitions_def=DAY,
    deps=["popularity", "personal", "item_cf", "als", "evaluation"],
    description="The four models under the weights that the validation window chose; registered as champion.",
)
def blend(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        made = make_blend(shop.tuning, read_choices(shop, day), shop.settings.threads)
        for name in MEMBERS:
            made.models[name] = load_model(shop, name, day)
        made.product_ids = made.models[MEMBERS[0]].arrays()["product_ids"].astype(np.str_)
        with _record(context, shop, made, day) as run, shop.lake.new_folder(folder_name("blend"), day) as folder:
            save(made, folder)
            run.log_metrics(_figures(shop, day, "published"))
            run.log_figure("ndcg_at_10", metrics_by_model(shop.lake.read(EVALUATION, day)))
            version = shop.tracking.register(run.run_id, folder)
            # The gate before this point is the blocking check of `evaluation`.
            shop.tracking.set_alias(version, "champion")
            (folder / VERSION_FILE).write_text(f"recsys/{version}")
        return dg.MaterializeResult(
            metadata=metadata(
                len(made.product_ids), weights=made.weights, mlflow_run=run.run_id, model_version=f"recsys/{version}"
            )
        )
