"""The clip of `sfedge demo`, made from photographs that packages carry."""
