"""Interactions → fitted models in the lake and in MLflow; their blend becomes the champion."""

import hashlib
from datetime import date

import dagster as dg
import numpy as np
import polars as pl

from recsys_assets.assets.evaluation import read_choices, recommendable
from recsys_assets.assets.stage import stage
from recsys_assets.assets.tuned import tuned
from recsys_assets.logic.choices import EVERYBODY
from recsys_assets.models import MODELS, load, make_blend, save
from recsys_assets.models.base import Interactions, Recommender, called_by_number
from recsys_assets.models.blend import Blend
from recsys_assets.models.recipe import FILE as RECIPE
from recsys_assets.models.recipe import Recipe
from recsys_assets.models.traits import columns_of, features_of
from recsys_assets.partitions import DAY, day_of
from recsys_assets.plots import metrics_by_model
from recsys_assets.resources import Shop
from recsys_assets.stores.tracking import Run, metric_name
from recsys_assets.tables import CATALOG, EVALUATION, INTERACTIONS, STEPS

FLAVOURS = {
    "popularity": "What most people buy.",
    "personal": "What the person buys again and again, by decayed frequency.",
    "item_cf": "Neighbours: products bought by the same people.",
    "als": "Implicit-feedback matrix factorisation; people are folded in when lists are made.",
    "linear": "Ridge regressions of each product on its neighbours.",
    "transitions": "Products taken after one another.",
    "session": "What came next in visits like the latest one.",
    "basket": "What people with such baskets take next, by frequency and age.",
    "content": "Products like those taken, by what the catalogue says.",
}
BESIDE = ("transitions",)  # trained in any case: the asset `next_items` asks it, whatever the blend does
IN_ORDER = ("transitions", "session", "basket")  # they look at the steps


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
    settings = tuned(shop, day).model_dump_json()
    members = model.parameters.get("members", {model.name: model.parameters})
    parameters = {f"{name}.{key}": value for name, given in members.items() for key, value in given.items()}
    if isinstance(model, Blend):
        for group, own in {EVERYBODY: model.weights, **model.by_type}.items():
            parameters |= {f"weight.{group}.{name}": weight for name, weight in own.items()}
        parameters["kind"] = read_choices(shop, day).kind
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


def training(shop: Shop, day: date, *, in_order: bool = True) -> Interactions:
    """What models of ``day`` learn from; without the order of steps where nobody asks for it."""
    lake, knobs = shop.lake, tuned(shop, day)
    seen, facts = lake.read(INTERACTIONS, day), lake.read(CATALOG, day)
    product_ids = columns_of(seen, recommendable(shop, day), facts, knobs)
    return called_by_number(
        Interactions.from_frame(
            seen,
            product_ids,
            steps=lake.read(STEPS, day) if in_order else None,
            features=features_of(product_ids, facts, knobs),
        )
    )


def _member(name: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        partitions_def=DAY,
        deps=["interactions", "catalog", "evaluation", *(["steps"] if name in IN_ORDER else [])],
        description=FLAVOURS[name],
    )
    def member(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
        with stage() as metadata:
            day = day_of(context)
            chosen = make_blend(tuned(shop, day), read_choices(shop, day), shop.settings.threads)
            model = chosen.models.get(name) or (MODELS[name](threads=shop.settings.threads) if name in BESIDE else None)
            if model is None:
                context.log.info(f"{name} is not trained: nothing that is published asks it")
                return dg.MaterializeResult(metadata=metadata(0, trained=False))
            train = training(shop, day, in_order=name in IN_ORDER)
            with _record(context, shop, model, day) as run:
                model.fit(train)
                with shop.lake.new_folder(folder_name(name), day) as folder:
                    save(model, folder)
                run.log_metrics(_figures(shop, day, name))
                return dg.MaterializeResult(
                    metadata=metadata(
                        len(train.product_ids), trained=True, people=len(train.person_keys), mlflow_run=run.run_id
                    )
                )

    return member


popularity, personal, item_cf, als, linear, transitions, session, basket, content = (_member(name) for name in FLAVOURS)


@dg.asset(
    partitions_def=DAY,
    deps=[*FLAVOURS, "evaluation"],
    description="The models under the weights, or in the order, that the validation window chose.",
)
def blend(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        day = day_of(context)
        choices = read_choices(shop, day)
        made = make_blend(tuned(shop, day), choices, shop.settings.threads)
        for name in made.names:
            made.models[name] = load_model(shop, name, day)
        made.product_ids = made.models["item_cf"].arrays()["product_ids"].astype(np.str_)
        with _record(context, shop, made, day) as run, shop.lake.new_folder(folder_name("blend"), day) as folder:
            save(made, folder)
            run.log_metrics(_figures(shop, day, "published"))
            run.log_metrics({f"choice/{name}": figure for name, figure in choices.figures.items()})
            run.log_figure("ndcg_at_10", metrics_by_model(shop.lake.read(EVALUATION, day)))
            (folder / RECIPE).write_text(Recipe(tuned(shop, day), choices).to_text(), encoding="utf-8")
            version = shop.tracking.register(run.run_id, folder)
            # The champion it becomes when its lists go live; between lies the gate, the asset `promotion`.
            shop.tracking.set_alias(version, "challenger")
            (folder / VERSION_FILE).write_text(f"recsys/{version}")
        return dg.MaterializeResult(
            metadata=metadata(
                len(made.product_ids),
                kind=choices.kind,
                weights=dict(choices.weights) or made.weights,
                validation_ndcg=dict(choices.figures),
                mlflow_run=run.run_id,
                model_version=f"recsys/{version}",
            )
        )
