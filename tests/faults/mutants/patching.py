"""How a module of the product is patched."""


def replace(owner: object, **attributes: object) -> None:
    """Put `attributes` in the place of those of a class or module: `replace(Seats, free=free)`."""
    for name, value in attributes.items():
        setattr(owner, name, value)
