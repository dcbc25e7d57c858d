"""From what stands in a log to a verdict on it, pure: nothing here reads a file.

    evidence, pins       what is judged by: the tree's notes, the installation's log, a reader's own key
    trust, sealed        whose keys count, and what they sealed
    tree_checker         the entries, into the heads that are wanted
    tree_judge,          the tree's rules, and the installation's log's
    installation_judge
    judge, grounds       all of it into one verdict, and what that rests on
    verdict, render      the verdict, and the same in words

FORMAT.md holds the rules: "Checkpoints", "Keys" and "Verdicts".
"""
