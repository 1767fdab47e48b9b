"""How a request is turned down."""


class Refused(Exception):
    """A request that cannot be carried out; `code` is one of wire.FAILURES."""

    def __init__(self, code: str, text: str) -> None:
        super(Refused, self).__init__(text)
        self.code = code
