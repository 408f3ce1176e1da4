"""The command line: ``perdure serve``, and what an operator needs beside it.

One rule: the answer goes to standard output, everything else to standard error. A command is a thin
shell: it reads its arguments, opens the store beside whatever serves it, and asks the runtime.
"""
