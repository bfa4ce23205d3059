"""What keeps pods of this node from being reached, or soon will: a function per check, of what was gathered.

Belongs here: what is amiss, how it is told by values, and the remedy.  Does not belong here: reading any of it, which
is :mod:`podnet.doctor`'s, and putting it right, which is nobody's: a diagnosis changes nothing.
"""

from podnet.diagnosis.finding import Finding, Severity, worst_first

__all__ = ["Finding", "Severity", "worst_first"]
