"""The list of attacks. An attack is a function of a node; a text that it returns is a complaint, and fails it."""
ATTACKS = []


class Attack:
    def __init__(self, run, prepare=None, secure=None, descriptors=None, fresh=False, short=True, p99_ms=0, because=""):
        self.name = run.__name__.replace("_", "-")
        self.words = (run.__doc__ or "").strip()
        self.run, self.prepare = run, prepare
        self.secure = secure  # True: makes sense with TLS only; False: without only
        self.descriptors = descriptors  # (soft, hard) limit of the node's open files
        self.fresh = fresh  # on a node of its own
        self.short = short  # in CI too; False: takes long
        # A burst that no limit makes cheaper: the bystander may wait so long, because ...
        self.p99_ms, self.because = p99_ms, because
        assert bool(p99_ms) == bool(because)


def attack(run=None, **options):
    """Decorator, with or without options: see Attack."""
    if run is None:
        return lambda function: attack(function, **options)
    ATTACKS.append(Attack(run, **options))
    return run
