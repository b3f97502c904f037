"""The list of attacks. An attack is a function of a node; a text that it returns is a complaint, and fails it."""
ATTACKS = []


class Attack:
    def __init__(self, run, prepare=None, secure=None, descriptors=None, fresh=False):
        self.name = run.__name__.replace("_", "-")
        self.words = (run.__doc__ or "").strip()
        self.run, self.prepare = run, prepare
        self.secure = secure  # True: makes sense with TLS only; False: without only
        self.descriptors = descriptors  # (soft, hard) limit of the node's open files
        self.fresh = fresh or descriptors is not None  # on a node of its own


def attack(run=None, **options):
    """Decorator, with or without options: see Attack."""
    if run is None:
        return lambda function: attack(function, **options)
    ATTACKS.append(Attack(run, **options))
    return run
