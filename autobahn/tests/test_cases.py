"""Selecting, costing and batching of cases."""

import unittest

from harness.cases import LARGEST_BATCH_SECONDS, batches, cost, order, select
from harness.main import GOLDEN
from harness.tools import SERVER
from harness.trouble import Trouble
from harness.verdict import load_golden

ALL = list(load_golden(GOLDEN[SERVER]))


class Selecting(unittest.TestCase):
    def test_a_star_selects_all(self):
        self.assertEqual(select(ALL, "*"), ALL)

    def test_a_glob_selects_whole_ids_only(self):
        self.assertEqual(select(ALL, "1.*"), [case for case in ALL if case.startswith("1.")])

    def test_overlapping_patterns_select_once_and_in_order(self):
        self.assertEqual(select(ALL, "2.10, 2.1,2.1,2.1?"), ["2.1", "2.10", "2.11"])

    def test_a_pattern_that_selects_nothing_is_refused(self):
        for patterns in ("8.*", "1.*,1.1.9", "", ","):
            with self.subTest(patterns), self.assertRaises(Trouble):
                select(ALL, patterns)


class Batching(unittest.TestCase):
    def test_every_case_is_in_exactly_one_batch(self):
        for workers in (1, 2, 3, 64):
            with self.subTest(workers):
                cases = [case for batch in batches(ALL, workers) for case in batch.cases]
                self.assertEqual(sorted(cases, key=order), ALL)

    def test_a_batch_is_small_unless_one_case_is_large(self):
        for batch in batches(ALL, 2):
            if len(batch.cases) > 1:
                self.assertLess(batch.seconds, 2 * LARGEST_BATCH_SECONDS)

    def test_one_case_makes_one_batch(self):
        [batch] = batches(["1.1.1"], 8)
        self.assertEqual(batch.cases, ("1.1.1",))

    def test_the_basics_come_first(self):
        self.assertIn("1.1.1", batches(ALL, 2)[0].cases)

    def test_the_last_batches_are_smaller_than_the_first_large_ones(self):
        seconds = [batch.seconds for batch in batches(ALL, 2)]
        self.assertLess(seconds[-1], max(seconds) / 2)

    def test_every_case_costs_something(self):
        self.assertTrue(all(cost(case) > 0 for case in [*ALL, "99.1", "12.9.99", "not an id"]))
