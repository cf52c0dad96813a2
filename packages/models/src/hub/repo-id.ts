/** Names of repositories and revisions on the hub, and which of them are safe to make paths of. */
import { HubError } from "../errors.js";

/** What a repository holds. */
export type RepoType = "model" | "dataset";

/** A repository as a user names it. */
export interface RepoId {
  /** `org/name`, or `name` of one of the hub's own. */
  name: string;
  /** Branch, tag, commit or `refs/pr/N`. */
  revision: string;
}

const isCommitText = /^[0-9a-f]{40}$/;

/** Whether a revision is a full commit, which never changes. */
export function isCommit(revision: string): boolean {
  return isCommitText.test(revision);
}

/** As huggingface_hub checks it: letters, digits, `-`, `_`, `.`; at most 96 of them; no `--` and no `..`. */
function isRepoName(name: string): boolean {
  return (
    /^(?:\w(?:[\w.-]{0,94}\w)?\/)?\w(?:[\w.-]{0,94}\w)?$/.test(name) &&
    !/--|\.\./.test(name) &&
    !name.endsWith(".git")
  );
}

/** A name that git allows for a branch or tag, so that a file of this name stays in the folder of refs. */
function isRevision(revision: string): boolean {
  const parts = revision.split("/");
  return (
    revision.length <= 255 &&
    /^[\w.+=@%#!,-]+(?:\/[\w.+=@%#!,-]+)*$/.test(revision) &&
    parts.every((part) => !/^[.-]|\.\.|\.lock$|\.$/.test(part))
  );
}

/**
 * Reads `org/name`, `name` and either with `@revision` behind it.
 * @returns Undefined for what is no name of a repository, such as a path
 * @throws HubError `E_HUB_REVISION` for a revision that no repository can have, or two that differ
 */
export function parseRepoId(text: string, revision?: string): RepoId | undefined {
  const at = text.indexOf("@");
  const name = at < 0 ? text : text.slice(0, at);
  if (!isRepoName(name)) return undefined;
  const own = at < 0 ? undefined : text.slice(at + 1);
  if (own !== undefined && revision !== undefined && own !== revision) {
    throw new HubError("E_HUB_REVISION", `${text} and revision ${revision} differ. Give one of them.`);
  }
  const chosen = own ?? revision ?? "main";
  if (!isRevision(chosen)) {
    throw new HubError(
      "E_HUB_REVISION",
      `${JSON.stringify(chosen)} is no revision of ${name}: give a branch, a tag, a commit or refs/pr/N, as in ${name}@main.`,
    );
  }
  return { name, revision: chosen };
}

/**
 * Whether a file of a repository may be put into the cache under this name: a relative path that goes nowhere else, on any
 * system.
 */
export function isSafePath(path: string): boolean {
  return (
    path.length > 0 &&
    path.length < 1024 &&
    path.split("/").every(
      (part) =>
        part !== "" &&
        part !== "." &&
        part !== ".." &&
        // Windows takes a backslash, and a colon for a drive or a stream, and drops dots and blanks at the end.
        !/[\\:]|[. ]$/.test(part) &&
        [...part].every((char) => char.charCodeAt(0) >= 32),
    )
  );
}
