"""The tree held against two others: the library pymerkle, and the standalone verifier's own."""

from __future__ import annotations

import pytest
from pymerkle import InmemoryTree
from pymerkle.proof import verify_consistency, verify_inclusion

from engine.audit.merkle import (
    Frontier,
    consistency_proof,
    consistent,
    included,
    inclusion_proof,
    leaf_hash,
    root_of,
)
from engine.audit.standalone import moat_verify

MOST = 300  # leaves


@pytest.fixture(scope="module")
def peer() -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for number in range(MOST):
        tree.append_entry(str(number).encode())
    return tree


HASHES = [leaf_hash(str(number).encode()) for number in range(MOST)]


def test_every_head_is_the_same(peer: InmemoryTree):
    frontier, subtrees = Frontier(), []
    for size, leaf in enumerate(HASHES):
        frontier.add(leaf)
        moat_verify.add_leaf(subtrees, size, leaf)
        assert frontier.root() == moat_verify.tree_root(subtrees) == peer.get_root(size + 1)
    assert peer.get_leaf(1) == HASHES[0]


def test_inclusion_proofs_hold_for_all_three(peer: InmemoryTree):
    for size in range(1, MOST + 1):
        root = peer.get_root(size)
        for index in {0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size)):
            path = inclusion_proof(HASHES[:size], index)
            theirs = peer.prove_inclusion(index + 1, size)
            verify_inclusion(HASHES[index], root, theirs)
            assert [HASHES[index], *path] == theirs.path
            for judge in (included, moat_verify.included):
                assert judge(HASHES[index], index, size, path, root)
                assert not judge(HASHES[index], index + 1, size, path, root)
                assert not judge(HASHES[index], index, size, [*path, root], root)
                assert not path or not judge(HASHES[index], index, size, path[:-1], root)


def test_consistency_proofs_hold_for_all_three(peer: InmemoryTree):
    for size in range(1, MOST + 1):
        root = peer.get_root(size)
        for old in {0, 1, 2, size // 3, size // 2, size - 1, size} & set(range(size + 1)):
            before = root_of(HASHES[:old])
            path = consistency_proof(HASHES[:size], old)
            if old:
                # It names other subtrees, from which both heads follow as well.
                verify_consistency(before, root, peer.prove_consistency(old, size))
            for judge in (consistent, moat_verify.consistent):
                assert judge(old, before, size, root, path)
                assert not judge(old, HASHES[0] if old != 1 else HASHES[1], size, root, path)
                assert not judge(old, before, size, HASHES[0] if size != 1 else HASHES[1], path) or not old
                assert not judge(old, before, size, root, [*path, root])
                assert not path or not judge(old, before, size, root, path[:-1])
