"""The lake, exports and e-mails → the same without people who were erased, and their receipts closed."""

import dagster as dg

from recsys_assets.assets.stage import stage
from recsys_assets.resources import Shop


@dg.asset(
    deps=["generation"],
    description="What was removed of people who asked to be erased, by store; of no day, because it takes all of them.",
)
def erasure(context: dg.AssetExecutionContext, shop: Shop) -> dg.MaterializeResult[None]:
    with stage() as metadata:
        swept = shop.sweep.run(context.log.info)
        return dg.MaterializeResult(
            metadata=metadata(
                sum(swept.removed.values()),
                keys_erased=swept.keys,
                receipts_closed=swept.receipts,
                removed=swept.removed,
            )
        )
