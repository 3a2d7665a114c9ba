# ruff: noqa: PT009, PT027 - this workspace needs nothing but Python, so it has no pytest
"""The built wheel, tested with stars whose periods are known."""

import math
import unittest

from lightcurve import Observation, ObservationError, find_period, read_stars

ROW = {"star": "Test", "time": "2460000.5", "magnitude": "4.1", "error": "0.02"}


class FindPeriod(unittest.TestCase):
    def test_finds_the_period_of_an_even_wave(self) -> None:
        times = [0.37 * index for index in range(200)]
        for period in (0.7, 2.9, 8.3):
            with self.subTest(period=period):
                magnitudes = [math.sin(2 * math.pi * time / period) for time in times]
                self.assertAlmostEqual(find_period(times, magnitudes), period, delta=period / 500)


class Observations(unittest.TestCase):
    def test_reads_what_it_wrote(self) -> None:
        observation = Observation.from_row({**ROW, "instrument": "camera"})
        self.assertEqual(Observation.from_row(observation.to_row()), observation)

    def test_refuses_what_the_schema_forbids(self) -> None:
        for wrong in ({"magnitude": "nan"}, {"magnitude": "99"}, {"instrument": "eye"}):
            with self.subTest(**wrong), self.assertRaises(ObservationError):
                Observation.from_row({**ROW, "instrument": "camera", **wrong})

    def test_groups_a_table_by_star(self) -> None:
        lines = ["star,time,magnitude,error,instrument"]
        for day in range(60):
            for star in ("B", "A"):
                lines.append(f"{star},{2_460_000 + day * 0.7},{4 + day % 3 * 0.2},0.01,camera")
        self.assertEqual([star.name for star in read_stars(lines)], ["A", "B"])


if __name__ == "__main__":
    unittest.main()
