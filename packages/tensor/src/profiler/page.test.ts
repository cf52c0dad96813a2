import { describe, expect, it } from "vitest";
import { sampleProfile } from "../testing/profile.js";
import { profilePage } from "./page/page.js";

/** What stands in a page where a value is missing, its script left out. */
const gaps = (page: string): string[] =>
  page.replace(/<script>[\s\S]*?<\/script>/, "").match(/\{\{|undefined|NaN|Infinity/g) ?? [];

describe("the page of a profile", () => {
  it("needs nothing from elsewhere", () => {
    const page = profilePage(sampleProfile());
    expect(page).not.toMatch(/\b(?:src|href)=|@import|url\(|https?:/);
    expect(gaps(page)).toEqual([]);
    expect(page).toContain("arithmetic peak 46.0 GFLOP/s");
  });

  it("escapes what it did not make up", () => {
    const profile = { ...sampleProfile({ layers: 1 }), title: 'a <b> & "c"', adapter: "<script>" };
    const page = profilePage(profile);
    expect(page).toContain("<h1>a &lt;b&gt; &amp; &quot;c&quot;</h1>");
    expect(page.match(/<script>/g)).toHaveLength(1);
  });

  it("says that dispatches are not timed, and has no charts of time then", () => {
    const page = profilePage(sampleProfile({ timed: false }));
    expect(page).toContain("Dispatches are not timed");
    expect(page).not.toContain('class="flame"');
    expect(gaps(page)).toEqual([]);
    expect(page).toContain("matmul/6-subgroup-pair");
  });

  it("draws points without roofs where the peaks are not known", () => {
    const page = profilePage({ ...sampleProfile(), peaks: null });
    expect(page).toContain('class="dot"');
    expect(page).not.toContain('class="roof"');
    expect(page).toContain("there is no roof");
  });

  it("stands an empty step", () => {
    const profile = sampleProfile();
    const steps = profile.steps.map((step) => ({ ...step, dispatches: [] }));
    expect(gaps(profilePage({ ...profile, steps }))).toEqual([]);
  });
});
