import type { Schema } from "@/api/client";
import { FilterBar, SearchBox } from "@/components/filters";
import { type Column, Table } from "@/components/table";
import { useFilterInPlace } from "@/components/url-state";

type Package = Schema["WorkspacePackage"];
const PART = 50;

/** All packages in a table. */
export function PackageList({
  workspace,
  onSelect,
}: {
  workspace: Schema["Workspace"];
  onSelect: (name: string) => void;
}) {
  const [text, setText] = useFilterInPlace("find");
  const neededBy = new Map<string, number>();
  for (const one of workspace.packages) {
    for (const need of one.dependencies) neededBy.set(need, (neededBy.get(need) ?? 0) + 1);
  }
  const columns: Column<Package>[] = [
    {
      name: "package",
      cell: (one) => (
        <button type="button" className="button plain link" onClick={() => onSelect(one.name)}>
          {one.name}
        </button>
      ),
      sort: (one) => one.name,
    },
    { name: "path", cell: (one) => <code>{one.path}</code>, sort: (one) => one.path },
    { name: "tasks", cell: (one) => one.tasks.join(", ") },
    {
      name: "needs",
      numeric: true,
      cell: (one) => one.dependencies.length,
      sort: (one) => one.dependencies.length,
    },
    {
      name: "needed by",
      numeric: true,
      cell: (one) => neededBy.get(one.name) ?? 0,
      sort: (one) => neededBy.get(one.name) ?? 0,
    },
  ];
  const wanted = text.trim().toLowerCase();
  const found = workspace.packages.filter(
    (one) => one.name.toLowerCase().includes(wanted) || one.path.toLowerCase().includes(wanted),
  );
  return (
    <section aria-label="Packages">
      <FilterBar noun="package" shown={found.length} total={workspace.packages.length}>
        <SearchBox label="Find a package" value={text} onChange={setText} />
      </FilterBar>
      <Table
        caption="Packages"
        columns={columns}
        rows={found}
        step={PART}
        keyOf={(one) => one.name}
      />
    </section>
  );
}
