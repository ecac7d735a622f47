"""The figures of ./culvert bench mqtt as text, one table a section."""

NOTES = """ratio: culvert ÷ mosquitto, the median of the rounds' ratios; '!' where mosquitto is ahead; '~' where others
  took more than {quiet:.0%} of a CPU in most rounds (rounds without are preferred where there are enough).
headroom: what the generator gives to a sink that only acknowledges (fan-out: that passes on, without
  topics or sessions), ÷ what it gives to culvert; in CPU time of the broker ÷ of the generator there.
durable is not the same work: culvert commits a message of a kept session to its database before it
  acknowledges, and kill -9 loses nothing. mosquitto acknowledges at once, writes its file every 30
  minutes (autosave_interval) and at its end, and kill -9 loses every message since."""


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 10 else f"{value:.1f}"


def ratio(row):
    if row["ratio"] is None:
        return "-"
    ahead = row["ratio"] >= 1 if row["better"] == "more" else row["ratio"] <= 1
    return f"{row['ratio']:.2f}" + ("~" if row["disturbed"] else "") + ("" if ahead else " !")


def line(row):
    """One row as it comes in."""
    return (f"{row['row']}: {row['unit']}: culvert {number(row['culvert'])}, "
            f"mosquitto {number(row['mosquitto'])}, ratio {ratio(row)}")


def show(rows, quiet):
    sections = {}
    for row in rows:
        sections.setdefault(row["section"], {}).setdefault(row["row"], []).append(row)
    for section, named in sections.items():
        units = list(dict.fromkeys(row["unit"] for group in named.values() for row in group))
        headroom = any("headroom" in row for group in named.values() for row in group)
        lines = [["", *["culvert", "mosquitto", "ratio"] * len(units), *(["rate", "CPU"] if headroom else [])]]
        for name, group in named.items():
            cells = [name]
            for unit in units:
                found = next((row for row in group if row["unit"] == unit), None)
                cells += [number(found["culvert"]), number(found["mosquitto"]), ratio(found)] if found else [""] * 3
            if headroom:
                cells += [f"{row['headroom']:.1f}" if "headroom" in row else "" for row in group]
            lines.append(cells)
        widths = [max(len(cells[i]) for cells in lines if i < len(cells)) for i in range(len(lines[0]))]
        widths[0] = max(widths[0], len(section))
        print()
        print(section.ljust(widths[0]) + "".join(
            "  " + unit.ljust(sum(widths[1 + 3 * i:4 + 3 * i]) + 4) for i, unit in enumerate(units))
            + ("  headroom" if headroom else ""))
        for at, cells in enumerate(lines):
            print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                            for i, (cell, w) in enumerate(zip(cells, widths))).rstrip())
            if at == 0:
                print("-" * (sum(widths) + 2 * len(widths) - 2))
    print("\n" + NOTES.format(quiet=quiet), flush=True)


def markdown(rows):
    """The same for docs/figures.md: mqtt_table.py out/bench-mqtt.json prints it."""
    sections = {}
    for row in rows:
        sections.setdefault(row["section"], {}).setdefault(row["row"], []).append(row)
    for section, named in sections.items():
        groups = list(named.values())
        headroom = any("headroom" in row for group in groups for row in group)
        head = [section] + [cell for row in groups[0] for cell in (row["unit"], "mosquitto", "ratio")]
        print("| " + " | ".join(head + (["generator ÷, rate / CPU"] if headroom else [])) + " |")
        print("|" + "---|" * (len(head) + headroom))
        for name, group in named.items():
            cells = [name] + [cell for row in group
                              for cell in (number(row["culvert"]), number(row["mosquitto"]), ratio(row))]
            if headroom:
                cells.append(" / ".join(f"{row['headroom']:.1f}" for row in group if "headroom" in row))
            print("| " + " | ".join(cells) + " |")
        print()


if __name__ == "__main__":
    import json
    import sys
    with open(sys.argv[1], encoding="utf-8") as file:
        markdown(json.load(file)["rows"])
