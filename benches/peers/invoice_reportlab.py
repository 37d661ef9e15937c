"""The invoice of the benchmark in ReportLab's platypus."""

import io

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

INK, GREY, HAIR = HexColor("#1b1f24"), HexColor("#68707a"), HexColor("#d5d9de")
ACCENT, TINT = HexColor("#1f4b6e"), HexColor("#f3f6f8")


def load(fonts):
    pdfmetrics.registerFont(TTFont("Regular", str(fonts / "NotoSansJP-Regular.ttf")))
    pdfmetrics.registerFont(TTFont("Bold", str(fonts / "NotoSansJP-Bold.ttf")))


def style(size, font="Regular", colour=INK, right=False, leading=1.45):
    return ParagraphStyle(
        f"{font}{size}{right}", fontName=font, fontSize=size, leading=size * leading,
        textColor=colour, alignment=2 if right else 0, wordWrap="CJK",
    )


def day(text):
    year, month, date = (int(part) for part in text.split("-"))
    return f"{year}年{month}月{date}日"


class Numbered(Canvas):
    """Page x / y, known only at the end."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.kept = []

    def showPage(self):
        self.kept.append(dict(self.__dict__))
        self._startPage()

    def save(self):
        for number, state in enumerate(self.kept, start=1):
            self.__dict__.update(state)
            self.setFont("Regular", 7)
            self.setFillColor(GREY)
            self.drawRightString(A4[0] - 18 * mm, 9 * mm, f"{number} / {len(self.kept)}")
            super().showPage()
        super().save()


def draw(d):
    body, right = style(9), style(9, right=True)
    fine, fine_right = style(7.5, colour=GREY), style(7.5, colour=GREY, right=True)
    amounts = [int(line["quantity"]) * int(line["unit_price"]) for line in d["lines"]]
    net = sum(amounts)
    tax = net * 10 // 100
    issuer, recipient, payment = d["issuer"], d["recipient"], d["payment"]
    hair = ("LINEBELOW", (0, 0), (-1, -1), 0.4, HAIR)
    tight = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0),
             ("VALIGN", (0, 0), (-1, -1), "TOP")]
    meta = Table(
        [[Paragraph("請求書番号", fine), Paragraph(d["number"], right)],
         [Paragraph("発行日", fine), Paragraph(day(d["issue_date"]), right)],
         [Paragraph("取引期間", fine), Paragraph(
             f"{day(d['supply_period']['from'])} 〜 {day(d['supply_period']['to'])}", right)]],
        colWidths=(20 * mm, 54 * mm), style=[hair, *tight],
    )
    to = [Paragraph(f"〒{recipient['postal_code']}", fine)]
    to += [Paragraph(line, fine) for line in recipient["address_lines"]]
    to += [Paragraph(f"{recipient['name']}　御中", style(13.5, "Bold")),
           Paragraph(recipient["department"], body)]
    by = [Paragraph(issuer["name"], style(10.5, "Bold")),
          Paragraph(f"登録番号 {issuer['registration_number']}", fine),
          Paragraph(f"〒{issuer['postal_code']}", fine)]
    by += [Paragraph(line, fine) for line in issuer["address_lines"]]
    by += [Paragraph(f"電話 {issuer['phone']}　{issuer['email']}", fine),
           Paragraph(f"担当 {issuer['person']}", fine)]
    rows = [[Paragraph("品目", fine), *(Paragraph(head, fine_right)
                                        for head in ("数量", "単価", "税率", "金額"))]]
    for line, amount in zip(d["lines"], amounts):
        rows.append([
            Paragraph(line["name"], body),
            Paragraph(f"{line['quantity']} {line['unit']}", right),
            Paragraph(f"{int(line['unit_price']):,}", right),
            Paragraph(f"{line['tax_rate']}%", right), Paragraph(f"{amount:,}", right),
        ])
    total = Table(
        [["", Paragraph("対象額（税抜）", fine_right), Paragraph("消費税", fine_right)],
         [Paragraph("10%対象", body), Paragraph(f"{net:,}", right), Paragraph(f"{tax:,}", right)],
         [Paragraph("小計（税抜）", body), "", Paragraph(f"{net:,}", right)],
         [Paragraph("消費税", body), "", Paragraph(f"{tax:,}", right)],
         [Paragraph("合計（税込）", style(9.5, "Bold")), "",
          Paragraph(f"¥{net + tax:,}", style(12, "Bold", right=True))]],
        colWidths=(30 * mm, 27 * mm, 27 * mm), style=[hair, *tight],
    )
    bank = [Paragraph("お振込先", fine),
            Paragraph(f"{payment['bank']}　{payment['branch']}", body),
            Paragraph(f"{payment['account_type']} {payment['account_number']}", body),
            Paragraph(payment["account_holder"], body)]
    sum_line = [[Paragraph("ご請求金額（税込）", fine),
                 Paragraph(f"¥{net + tax:,}", style(20, "Bold")),
                 Paragraph(f"お支払期限 {day(d['due_date'])}", style(10.5, "Bold", right=True))]]
    story = [
        Table([[Paragraph("請求書", style(21, "Bold")), meta]], colWidths=(100 * mm, 74 * mm),
              style=tight),
        Spacer(0, 6 * mm),
        Table([[to, by]], colWidths=(100 * mm, 74 * mm), style=tight),
        Spacer(0, 5 * mm),
        Table(sum_line, colWidths=(36 * mm, 78 * mm, 60 * mm),
              style=[("BACKGROUND", (0, 0), (-1, -1), TINT), ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                     ("LINEBEFORE", (0, 0), (0, -1), 2.4, ACCENT)]),
        Spacer(0, 4 * mm),
        Paragraph(f"件名　{d['subject']}", style(9.5)),
        Spacer(0, 3 * mm),
        Table(rows, colWidths=(72 * mm, 26 * mm, 27 * mm, 17 * mm, 32 * mm), repeatRows=1,
              style=[hair, *tight]),
        Spacer(0, 5 * mm),
        Table([[bank, total]], colWidths=(90 * mm, 84 * mm), style=tight),
    ]
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=18 * mm, rightMargin=18 * mm, topMargin=16 * mm,
        bottomMargin=17 * mm, title="請求書",
    )
    document.build(story, canvasmaker=Numbered)
    return out.getvalue()
