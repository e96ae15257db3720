// What scrolls sideways is reached by the keyboard, and a copy button is no landmark.
const mend = () => {
  for (const region of document.querySelectorAll("pre > code, .md-typeset__scrollwrap"))
    region.tabIndex = 0;
  for (const nav of document.querySelectorAll(".md-code__nav")) nav.setAttribute("role", "none");
};
new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
mend();
