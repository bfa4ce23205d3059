"""The use cases: what each verb does, said in terms of the rooms below and of ports that the edges fill."""

from podnet.engine.engine import Engine, Job
from podnet.engine.mending import Drift

__all__ = ["Drift", "Engine", "Job"]
