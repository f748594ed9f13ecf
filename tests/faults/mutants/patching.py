"""How a module of the product is patched."""


def replace(owner: object, **attributes: object) -> None:
    """Put `attributes` in the place of those of a class or module: `replace(Seats, free=free)`.

    Raises AttributeError where there is nothing to replace: the product has moved on.
    """
    for name, value in attributes.items():
        getattr(owner, name)
        setattr(owner, name, value)
