"""The page that browsers show: its sources (``ui``), what is built of them (``static``), and how a
node serves that."""
