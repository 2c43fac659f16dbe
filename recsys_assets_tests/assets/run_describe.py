"""`python -m recsys_assets_tests.assets.run_describe`: the asset graph; with ``readme``, the README as it should be."""

import sys

from recsys_assets_tests import readme


def main(what: str = "graph") -> None:
    from recsys_assets.cli import recsys
    from recsys_assets.definitions import defs  # opens the home

    if what == "readme":
        print(readme.rendered(readme.README.read_text(), defs(), recsys), end="")
        return
    defs().get_repository_def().load_all_definitions()  # as the UI does: every name is the only one of its kind
    specs = {spec.key.to_user_string(): spec for spec in defs().resolve_all_asset_specs()}
    for name in sorted(specs):
        deps = sorted(dep.asset_key.to_user_string() for dep in specs[name].deps)
        print(f"{specs[name].group_name}/{name} <- {', '.join(deps) or 'nothing'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
