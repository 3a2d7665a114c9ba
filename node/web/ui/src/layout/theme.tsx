import { Moon, Sun, SunMoon } from "lucide-react";
import { useEffect, useState } from "react";

const KEY = "buildnet-theme";
const THEMES = ["system", "light", "dark"] as const;
const ICONS = { system: SunMoon, light: Sun, dark: Moon };
type Theme = (typeof THEMES)[number];

/** Set what was chosen in this browser; before the first picture, so that nothing flashes. */
export function applyTheme(theme: Theme = stored()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Goes through the themes: as the system has it, light, dark. */
export function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(stored);
  useEffect(() => {
    applyTheme(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // A browser that keeps nothing follows the system's next time.
    }
  }, [theme]);
  const Icon = ICONS[theme];
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system";
  const label = `Theme: ${theme}. Change to ${next}`;
  return (
    <button
      type="button"
      className="button plain icon"
      aria-label={label}
      title={label}
      onClick={() => setTheme(next)}
    >
      <Icon aria-hidden size={18} />
    </button>
  );
}

function stored(): Theme {
  try {
    const found = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === found) ?? "system";
  } catch {
    return "system";
  }
}
