/** The page that shows a run, without anything of the run in it: its script asks for that. */
export const PAGE_HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>millrace</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="dashboard.css">
<script src="uplot.js" defer></script>
<script src="dashboard.js" defer></script>
</head>
<body>
<noscript><p>This page shows a run as it goes on, which needs JavaScript.</p></noscript>
</body>
</html>
`
