"""The worktrees room: branches of a person's repository that runs work on, each in a place of its own.

    git          running git so that it executes nothing of a repository
    repository   the person's one                  place   where a worktree lives, and what is noted of it
    making       a worktree is made                agents  what an agent left in its .git, read by descriptors
    fetching     its commits reach the person's branch     state  what would be lost with it

A worktree here is not git's: that one shares the settings and hooks of the person's repository, which their
own git obeys. Each is a whole repository instead, and nothing that an agent writes is ever a setting of the
person's: only objects leave it, checked, and one branch is moved.
"""
