import { useState } from "react";
import { api, query, type Schema } from "@/api/client";
import { FormDialog } from "@/components/dialog";
import { Field, SelectField } from "@/components/field";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { quoted } from "@/format/shell";
import { fill } from "@/views/builder/calls";
import { type ConfigDocument, EMPTY, fromDocument } from "@/views/builder/draft";
import * as store from "@/views/builder/store";
import { fromText } from "@/views/builder/text";

type Values = Record<string, string | number | boolean>;

/** Begin with what a template makes. */
export function TemplateDialog({
  chosen,
  onUsed,
  onClose,
}: {
  /** The id of one; empty: none yet. */
  chosen: string;
  onUsed?: () => void;
  onClose: () => void;
}) {
  const [id, setId] = useState(chosen);
  const [values, setValues] = useState<Values>({});
  const found = query.useQuery("get", "/api/templates");
  const templates = (found.data?.templates ?? []).filter((each) => each.problem === null);
  const template = templates.find((each) => each.id === id);
  return (
    <FormDialog
      title="Begin with a template"
      verb="Use it"
      command={`buildnet template use ${quoted(id || "NAME")}`}
      ready={template !== undefined}
      onClose={onClose}
      act={async () => {
        store.load(await fill(id, values), null, EMPTY);
        onUsed?.();
      }}
    >
      <NotAnswered asked={found} command="buildnet template list" />
      {found.isPending && <Loading what="the templates" />}
      <SelectField
        label="Template"
        hint={template?.description}
        value={id}
        options={[
          ["", "choose one"],
          ...templates.map(
            ({ id, name, system }) => [id, `${name ?? id}${system ? " (built in)" : ""}`] as const,
          ),
        ]}
        onChange={(chosen) => {
          setId(chosen);
          setValues({});
        }}
      />
      {template?.variables?.map((variable) => (
        <VariableField
          key={`${id} ${variable.name}`}
          variable={variable}
          value={values[variable.name]}
          onChange={(value) => setValues({ ...values, [variable.name]: value })}
        />
      ))}
    </FormDialog>
  );
}

function VariableField({
  variable,
  value,
  onChange,
}: {
  variable: Schema["Variable"];
  value: string | number | boolean | undefined;
  onChange: (value: string | number | boolean) => void;
}) {
  const { name, type, description, minimum, maximum, choices } = variable;
  const now = value ?? variable.default ?? "";
  const props = { label: name, hint: description };
  if (type === "boolean") {
    return (
      <Field {...props}>
        <input
          type="checkbox"
          checked={now === true}
          onChange={(event) => onChange(event.target.checked)}
        />
      </Field>
    );
  }
  if (type === "choice") {
    return (
      <SelectField {...props} value={String(now)} options={choices ?? []} onChange={onChange} />
    );
  }
  const isNumber = type === "integer" || type === "number";
  return (
    <Field {...props}>
      <input
        className="input"
        type={isNumber ? "number" : "text"}
        step={type === "integer" ? 1 : "any"}
        required={variable.default == null}
        {...(minimum != null && { min: minimum })}
        {...(maximum != null && { max: maximum })}
        value={String(now)}
        onChange={(event) => onChange(isNumber ? Number(event.target.value) : event.target.value)}
      />
    </Field>
  );
}

/** Begin with what a file holds. */
export function ImportDialog({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  return (
    <FormDialog
      title="Import a configuration"
      verb="Take it up"
      command="buildnet config import FILE"
      ready={text.trim() !== ""}
      onClose={onClose}
      act={async () => {
        const document = await fromText(text);
        await requireGood(document);
        store.load(fromDocument(document as ConfigDocument), null, EMPTY);
      }}
    >
      <Field label="A file of YAML or JSON">
        <input
          type="file"
          accept=".yaml,.yml,.json"
          onChange={async (event) => setText((await event.target.files?.[0]?.text()) ?? "")}
        />
      </Field>
      <Field label="Or its text">
        <textarea
          className="input mono"
          rows={10}
          spellCheck={false}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </Field>
    </FormDialog>
  );
}

/** See that the node can read it: what of it can't be read would be lost. */
async function requireGood(document: Record<string, unknown>): Promise<void> {
  const { data } = await api.POST("/api/configs/validate", { body: document });
  if (data === undefined || data.valid) return;
  throw new Error(data.problems.map(({ path, message }) => `${path}: ${message}`).join("; "));
}
