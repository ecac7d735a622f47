"""The one error class of analysis: a sentence for the reader, shown without a traceback."""


class AnalysisError(Exception):
    """Input that cannot be used: a plan, a measure, a folder. The front door exits with code 2."""
